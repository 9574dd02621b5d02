package wire

// EnrolRequest is the JSON that an agent posts to its collector's /enrol, with a
// token, and to /renew, showing its certificate.
type EnrolRequest struct {
	Secret string `json:"secret,omitempty"` // the token's part before the dot; not to renew
	CSR    string `json:"csr"`              // PEM
	Host   string `json:"host"`             // the computer's name
}

// EnrolReply is the answer: an identity, or the Error alone.
type EnrolReply struct {
	Agent       string `json:"agent,omitempty"`
	Certificate string `json:"certificate,omitempty"` // PEM
	CA          string `json:"ca,omitempty"`          // PEM
	Broker      string `json:"broker,omitempty"`      // host:port of the MQTT listener
	Fallback    string `json:"fallback,omitempty"`    // wss:// where Broker is not reached
	Name        string `json:"name,omitempty"`        // server name in the certificate of both
	Enrolment   string `json:"enrolment,omitempty"`   // https:// where the identity is renewed
	Terms       string `json:"terms,omitempty"`       // names what is told here; Beat.Terms repeats it
	CommandKey  []byte `json:"command_key,omitempty"` // Ed25519, 32 bytes; empty from a collector that sends no commands
	Error       string `json:"error,omitempty"`       // pt-BR
}
