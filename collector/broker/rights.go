package broker

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// RightsFile is the part of the configuration of a NATS cluster's servers that gives
// collectors their rights, and lets them say what each agent may do. It holds no
// secret.
const RightsFile = "direitos.conf"

// keysFile holds the keys behind it, which all collectors of a cluster share.
const keysFile = "nats.chaves"

// rights let the collectors in by their key, and ask them about everybody else (the
// server's "auth callout"). They may also end connections, which is a service of the
// system's own account.
const rights = `# Criado pelo coletor Zelo. Igual em todos os servidores; não tem segredos.
system_account: SYS
accounts {
  SYS { exports: [ { service: "$SYS.REQ.SERVER.*.KICK" } ] }
  ` + agentsAccount + ` {
    jetstream: enabled
    imports: [ { service: { account: SYS, subject: "$SYS.REQ.SERVER.*.KICK" } } ]
    users: [ { nkey: %[1]s } ]
  }
}
authorization {
  timeout: 5
  auth_callout { issuer: %[2]s, account: ` + agentsAccount + `, auth_users: [ %[1]s ] }
}
`

// answerTime is less than the servers wait for an answer.
const answerTime = 3 * time.Second

// agentsAccount is the account in which agents and collectors meet.
const agentsAccount = "ZELO"

// Keys are what the collectors are known by at a NATS cluster: one to connect, one to
// sign what agents may do.
type Keys struct{ user, issuer key }

type key struct {
	nkeys.KeyPair
	name string // its public half
}

// KeepCluster keeps in folder the keys of a cluster's collectors and, beside them, the
// RightsFile for people to carry to its servers. made says that they are new.
func KeepCluster(folder string) (keys Keys, made bool, err error) {
	path := filepath.Join(folder, keysFile)
	keys, err = readKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		keys, err = makeKeys(path)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, RightsFile), fmt.Appendf(nil, rights, keys.user.name, keys.issuer.name), 0o600)
	}
	if err != nil {
		return keys, false, fmt.Errorf("cannot keep the keys to the NATS cluster in %s: %w", folder, err)
	}
	return keys, made, nil
}

func readKeys(path string) (keys Keys, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return keys, err
	}
	seeds := strings.Fields(string(text))
	if len(seeds) != 2 {
		return keys, fmt.Errorf("%s is damaged: put it back from a backup, or delete it and take the new %s to all servers", path, RightsFile)
	}
	for i, to := range []*key{&keys.user, &keys.issuer} {
		if to.KeyPair, err = nkeys.FromSeed([]byte(seeds[i])); err == nil {
			to.name, err = to.PublicKey()
		}
		if err != nil {
			return keys, fmt.Errorf("%s: %w", path, err)
		}
	}
	return keys, nil
}

func makeKeys(path string) (keys Keys, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return keys, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return keys, err
	}
	w := bufio.NewWriter(f)
	for _, create := range []func() (nkeys.KeyPair, error){nkeys.CreateUser, nkeys.CreateAccount} {
		pair, err := create()
		if err != nil {
			return keys, errors.Join(err, f.Close())
		}
		seed, err := pair.Seed()
		if err != nil {
			return keys, errors.Join(err, f.Close())
		}
		fmt.Fprintf(w, "%s\n", seed)
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return keys, err
	}
	return readKeys(path)
}

// authorize answers a server of the cluster that asks who wants to connect there, and
// what for.
func (c *Cluster) authorize(m *nats.Msg) {
	ask, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		c.o.Log.Warn("a question of the NATS cluster cannot be read", "err", err)
		return
	}
	answer := jwt.NewAuthorizationResponseClaims(ask.UserNkey)
	answer.Audience = ask.Server.ID
	agent, err := c.identify(ask)
	if err == nil {
		answer.Jwt, err = c.let(agent, ask.UserNkey)
	}
	if err != nil {
		answer.Error = "refused"
		c.refuse(ask, err)
	}
	token, err := answer.Encode(c.o.Keys.issuer)
	if err == nil {
		err = m.Respond([]byte(token))
	}
	if err != nil {
		c.o.Log.Warn("a question of the NATS cluster was not answered", "err", err)
	}
}

// identify says which agent wants to connect: the one whose certificate it shows, if it
// calls itself by that name as an MQTT client.
func (c *Cluster) identify(ask *jwt.AuthorizationRequestClaims) (string, error) {
	if ask.TLS == nil {
		return "", errors.New("a connection without TLS")
	}
	shown := ask.TLS.Certs
	if len(ask.TLS.VerifiedChains) > 0 {
		shown = ask.TLS.VerifiedChains[0]
	}
	if len(shown) == 0 {
		return "", errors.New("a connection without a certificate")
	}
	block, _ := pem.Decode([]byte(shown[0]))
	if block == nil {
		return "", errors.New("a certificate that cannot be read")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	// The server did so too, if it is set up well.
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: c.o.CAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	agent, err := c.o.Agent(ctx, certificate)
	if err == nil && ask.ClientInformation.MQTT != agent {
		err = errors.New("its MQTT client id is not its agent id")
	}
	return agent, err
}

// let is what the server takes for an agent's rights: its own topics.
func (c *Cluster) let(agent, user string) (string, error) {
	claims := jwt.NewUserClaims(user)
	claims.Name, claims.Audience = agent, agentsAccount
	up, down := ownSubjects(agent)
	claims.Permissions.Pub.Allow.Add(up)
	claims.Permissions.Sub.Allow.Add(down)
	return claims.Encode(c.o.Keys.issuer)
}

func (c *Cluster) refuse(ask *jwt.AuthorizationRequestClaims, err error) {
	if c.o.Refused != nil {
		c.o.Refused()
	}
	if c.seldom.tell(ask.ClientInformation.Host+" "+err.Error(), time.Now()) {
		c.o.Log.Warn("connection refused", "from", ask.ClientInformation.Host, "at", ask.Server.Name, "err", err)
	}
}
