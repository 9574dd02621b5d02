package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"zelo/collector/store"
)

// One authority follows another in three steps, each a verb of the command line, with
// the collector started again after it:
//
//	rotate  a new authority is made and trusted; it issues nothing yet
//	switch  it issues; the one before is trusted, and keeps the entrance open for tills
//	        and tokens that know no other
//	retire  the one before is trusted no more
//
// After each step agents hear that their terms have changed, and renew. The next step
// waits until all of them did; those that stayed away too long must be enrolled anew.

// Stage is how far a rotation is.
type Stage int

// The stages.
const (
	Settled   Stage = iota // one authority
	Announced              // the next one is trusted
	Switched               // the former one is still trusted
)

// Stage tells how far the rotation of this authority is.
func (ca *CA) Stage() Stage {
	switch {
	case ca.other == nil:
		return Settled
	case ca.former:
		return Switched
	}
	return Announced
}

// ErrStage reports that a step of the rotation is not the next one.
var ErrStage = errors.New("this is not the next step of the rotation")

// arrange makes one file of each authority out of what earlier versions and
// interrupted steps left.
func arrange(folder string) error {
	in := filepath.Join(folder, CAFolder)
	issuer, key := filepath.Join(in, issuerFile), filepath.Join(folder, oldKeyFile)
	switch {
	case there(issuer):
	case there(key):
		pair, err := tls.LoadX509KeyPair(filepath.Join(folder, BundleFile), key)
		if err == nil {
			err = save(issuer, &pair)
		}
		if err != nil {
			return err
		}
	case there(filepath.Join(in, nextFile)) && there(filepath.Join(in, formerFile)):
		return move(filepath.Join(in, nextFile), issuer) // a switch that was cut off
	}
	if there(issuer) && there(key) {
		return os.Remove(key)
	}
	return nil
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Rotate makes the next authority of the one in folder.
func Rotate(folder string, now time.Time) (*CA, error) {
	return step(folder, "make the next authority", Settled, func(in string) error {
		return newAuthority(filepath.Join(in, nextFile), now)
	})
}

// Switch lets the next authority issue.
func Switch(folder string) (*CA, error) {
	return step(folder, "let the next authority issue", Announced, func(in string) error {
		if err := move(filepath.Join(in, issuerFile), filepath.Join(in, formerFile)); err != nil {
			return err
		}
		return move(filepath.Join(in, nextFile), filepath.Join(in, issuerFile))
	})
}

// Retire ends the trust in the former authority.
func Retire(folder string) (*CA, error) {
	return step(folder, "retire the former authority", Switched, func(in string) error {
		return errors.Join(os.Remove(filepath.Join(in, formerFile)), syncFolder(in))
	})
}

func step(folder, what string, from Stage, do func(in string) error) (*CA, error) {
	ca, err := OpenCA(folder)
	if err == nil && ca.Stage() != from {
		err = ErrStage
	}
	if err == nil {
		err = do(filepath.Join(folder, CAFolder))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot %s: %w", what, err)
	}
	return OpenCA(folder)
}

// ErrOtherAuthority reports that a store knows other authorities than a folder has.
var ErrOtherAuthority = errors.New("the store knows other certificate authorities")

// CheckAuthorities compares the authorities with those that the store's agents trust.
// A store that knows none takes these for good.
func (ca *CA) CheckAuthorities(ctx context.Context, s *store.Store) error {
	var known string
	err := s.View(ctx, store.All(), func(r *store.Reader) (err error) {
		known, err = r.Authorities()
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("cannot compare the certificate authorities with the store's: %w", err)
	case known == "":
		return ca.Adopt(ctx, s)
	case known != ca.Generation():
		return fmt.Errorf("%w: %s, and not %s", ErrOtherAuthority, known, ca.Generation())
	}
	return nil
}

// Follows reports whether a store knows at least one of these authorities: then they
// are another step of the same rotation.
func (ca *CA) Follows(ctx context.Context, s *store.Store) bool {
	var known string
	err := s.View(ctx, store.All(), func(r *store.Reader) (err error) {
		known, err = r.Authorities()
		return err
	})
	return err == nil && slices.ContainsFunc(strings.Split(ca.Generation(), "+"), func(name string) bool { return strings.Contains(known, name) })
}

// Adopt makes these the authorities that a store knows, after a step of a rotation.
func (ca *CA) Adopt(ctx context.Context, s *store.Store) error {
	err := s.Update(ctx, func(w *store.Writer) error { return w.SetAuthorities(ca.Generation()) })
	if err != nil {
		return fmt.Errorf("cannot tell the store of the certificate authorities: %w", err)
	}
	return nil
}

// Holders are how many agents hold what this step of a rotation gave them, and those
// that do not, the last heard first.
func (ca *CA) Holders(ctx context.Context, s *store.Store) (n int, others []store.Holding, err error) {
	err = s.View(ctx, store.All(), func(r *store.Reader) error {
		all, err := r.Holdings()
		for _, h := range all {
			if strings.HasPrefix(h.Terms, ca.Generation()+".") {
				n++
			} else {
				others = append(others, h)
			}
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("cannot count the agents that hold the authorities: %w", err)
	}
	return n, others, err
}

// Authorities are the common names of those that are trusted, with their end, that
// which issues first.
func (ca *CA) Authorities() (names []string, ends []time.Time) {
	for _, a := range ca.trusted() {
		names, ends = append(names, a.certificate.Subject.CommonName), append(ends, a.certificate.NotAfter)
	}
	return names, ends
}
