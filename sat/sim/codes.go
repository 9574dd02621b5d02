package sim

import (
	"encoding/base64"
	"time"

	"zelo/sat"
)

// Signatures that development kits take instead of a software house's own
// (dossier 4.5); a production device refuses them.
const (
	devSignatureSAT = "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT"
	devSignatureMFE = "CODIGO DE VINCULACAO AC DO MFE-CFE"
)

// factoryCode stands for the activation code until AtivarSAT sets one (dossier
// 4.2).
const factoryCode = "00000000"

// lockoutAfter wrong activation codes the device locks for a while, twice as long
// each time; after lockoutResets the count begins anew (dossier 5.6).
const (
	lockoutAfter  = 3
	lockoutResets = 36
)

// codeRight checks the activation code of a call and counts the wrong ones.
func (s *Sim) codeRight(given string, now time.Time) bool {
	st := &s.st
	if st.Stage == inactive {
		return given == factoryCode
	}
	if given == st.Code {
		st.WrongCodes = 0
		return true
	}
	st.WrongCodes++
	if st.WrongCodes%lockoutAfter == 0 {
		st.LockedUntil = now.Add(time.Minute << (st.WrongCodes / lockoutAfter))
		s.log("SAT", "erro", "codigo de ativacao incorreto: bloqueado")
	}
	if st.WrongCodes == lockoutResets {
		st.WrongCodes = 0
	}
	return false
}

func (s *Sim) locked(now time.Time) bool { return now.Before(s.st.LockedUntil) }

// validCode is the form of an activation code: 8 to 32 characters (dossier 4.3).
func validCode(code string) bool { return len(code) >= 8 && len(code) <= 32 }

// trocarCodigo answers TrocarCodigoDeAtivacao. With option 2 codigoDeAtivacao
// holds the emergency code (dossier 4.4).
func (s *Sim) trocarCodigo(req sat.Request, now time.Time) []byte {
	given := req.Arg(sat.CodeParam)
	switch req.Arg("opcao") {
	case "1":
		if s.locked(now) || !s.codeRight(given, now) {
			return s.say(req, 18001)
		}
	case "2":
		if s.o.EmergencyCode == "" || given != s.o.EmergencyCode {
			return s.say(req, 18002)
		}
	default:
		return s.say(req, 18099)
	}
	fresh := req.Arg("novoCodigo")
	if s.st.Stage < active || fresh != req.Arg("confNovoCodigo") || !validCode(fresh) {
		return s.say(req, 18099)
	}
	s.st.Code, s.st.WrongCodes, s.st.LockedUntil = fresh, 0, time.Time{}
	return s.say(req, 18000)
}

// associar answers AssociarAssinatura: it links the sales application to the
// device.
func (s *Sim) associar(req sat.Request) []byte {
	pair, signature := req.Arg("CNPJvalue"), req.Arg("assinaturaCNPJs")
	switch {
	case s.st.Stage < active:
		return s.say(req, 13099)
	case !s.st.Online:
		return s.say(req, 13002)
	case len(pair) != 28 || number(pair[:14]) < 0 || number(pair[14:]) < 0 || !s.signatureFits(signature):
		return s.say(req, 13003)
	case pair[14:] != s.o.Emitter.CNPJ:
		return s.say(req, 13007)
	}
	s.st.SignAC, s.st.Stage = signature, linked
	return s.say(req, 13000)
}

// signatureFits checks a signature's form: base64 of 256 bytes, or a development
// kit's text in the test environment. The software house's certificate is the
// SEFAZ's to check, so its content is taken on trust.
func (s *Sim) signatureFits(signature string) bool {
	if signature == devSignatureSAT || signature == devSignatureMFE {
		return s.o.Environment == Test
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	return err == nil && len(raw) == 256
}

// The kinds of certificate that AtivarSAT asks for (dossier 4.3).
const (
	certificateSEFAZ     = "1"
	certificateICP       = "2"
	certificateICPRenews = "3"
)

// ativar answers AtivarSAT, which also sets the activation code.
func (s *Sim) ativar(req sat.Request, now time.Time) []byte {
	kind, code := req.Arg("subComando"), req.Arg(sat.CodeParam)
	renews := kind == certificateICPRenews
	switch {
	case s.st.Blocked == sat.StateBlockedDeactivation:
		return s.say(req, 4004)
	case renews && (s.st.Stage < active || code != s.st.Code):
		return s.say(req, 4001)
	case !renews && s.st.Stage >= active:
		return s.say(req, 4003)
	case !renews && !validCode(code):
		return s.say(req, 4099)
	case !s.st.Online:
		return s.say(req, 4005)
	case req.Arg("CNPJ") != s.o.Emitter.CNPJ || number(req.Arg("cUF")) != s.o.Emitter.UF:
		return s.say(req, 4002)
	}
	if !renews {
		s.st.Code = code
	}
	switch kind {
	case certificateSEFAZ:
		s.st.Stage, s.st.LastContact = active, now
		return s.say(req, 4000)
	case certificateICP, certificateICPRenews:
		csr, err := s.certificateRequest()
		if err != nil {
			return s.say(req, 4007)
		}
		if !renews {
			s.st.Stage = requested
		}
		return s.say(req, 4006, csr)
	}
	return s.say(req, 4001)
}

// certificado answers ComunicarCertificadoICPBRASIL, which ends an activation
// begun with AtivarSAT 2, or a renewal.
func (s *Sim) certificado(req sat.Request, now time.Time) []byte {
	switch {
	case s.st.Stage < requested:
		return s.say(req, 5099)
	case !s.st.Online:
		return s.say(req, 5002)
	}
	if err := s.install(req.Arg("certificado")); err != nil {
		s.log("SAT", "erro", "certificado recusado: "+err.Error())
		return s.say(req, 5003)
	}
	if s.st.Stage == requested {
		s.st.Stage, s.st.LastContact = active, now
	}
	return s.say(req, 5000)
}
