package mls

// credentialType is a code point of RFC 9420 17.5.
type credentialType = uint16

const (
	credentialBasic credentialType = 1
	credentialX509  credentialType = 2
)

// A Credential is Credential of RFC 9420 5.3: what the application's authentication
// service is asked to vouch for. It is of type x509 when it has certificates, and basic
// otherwise; messages with other types are not accepted.
type Credential struct {
	Identity     []byte   // basic: whatever the application calls a client
	Certificates [][]byte // x509: DER, the end entity first
}

func (c Credential) kind() credentialType {
	if len(c.Certificates) > 0 {
		return credentialX509
	}
	return credentialBasic
}

func (c Credential) encode(w *writer) {
	w.uint16(c.kind())
	if len(c.Certificates) > 0 {
		w.vector(func(w *writer) {
			for _, cert := range c.Certificates {
				w.opaque(cert)
			}
		})
		return
	}
	w.opaque(c.Identity)
}

func decodeCredential(r *reader) Credential {
	var c Credential
	switch kind := r.uint16(); kind {
	case credentialBasic:
		c.Identity = r.opaque()
	case credentialX509:
		if c.Certificates = decodeAll(r, (*reader).opaque); len(c.Certificates) == 0 {
			r.fail(malformed("x509 credential without a certificate")) // 5.3
		}
	default:
		r.fail(unsupported("credential type %#04x", kind))
	}
	return c
}
