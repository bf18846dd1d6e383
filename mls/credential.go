package mls

// A CredentialType is a code point of RFC 9420 17.5.
type CredentialType uint16

const (
	CredentialBasic CredentialType = 1
	CredentialX509  CredentialType = 2
)

// A Credential is Credential of RFC 9420 5.3: what the application's
// authentication service is asked to vouch for.
type Credential struct {
	Type         CredentialType
	Identity     []byte   // basic: whatever the application calls a client
	Certificates [][]byte // x509: DER, the end entity first
}

// BasicCredential names a client with bytes of the application's choice.
func BasicCredential(identity []byte) Credential {
	return Credential{Type: CredentialBasic, Identity: identity}
}

func (c Credential) encode(w *writer) {
	w.uint16(uint16(c.Type))
	if c.Type == CredentialX509 {
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
	c := Credential{Type: CredentialType(r.uint16())}
	switch c.Type {
	case CredentialBasic:
		c.Identity = r.opaque()
	case CredentialX509:
		c.Certificates = decodeAll(r, (*reader).opaque)
	default:
		r.fail(unsupported("credential type %#04x", uint16(c.Type)))
	}
	return c
}

// An Authenticator is the application's authentication service (RFC 9420 5.3.1).
// It is asked about every leaf that enters a tree: by Add, Update, a commit's path,
// and the whole tree of a Welcome. An error keeps the leaf, and so the message, out.
type Authenticator func(leaf *LeafNode) error
