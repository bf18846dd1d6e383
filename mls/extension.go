package mls

import "slices"

// An ExtensionType is a code point of RFC 9420 17.3.
type ExtensionType uint16

const (
	ExtensionApplicationID        ExtensionType = 1
	ExtensionRatchetTree          ExtensionType = 2
	ExtensionRequiredCapabilities ExtensionType = 3
	ExtensionExternalPub          ExtensionType = 4
	ExtensionExternalSenders      ExtensionType = 5
)

// isDefault says whether every client supports t without listing it (RFC 9420 7.2).
func (t ExtensionType) isDefault() bool { return t >= 1 && t <= 5 }

// An Extension is Extension of RFC 9420 13: a type and bytes that it explains.
type Extension struct {
	Type ExtensionType
	Data []byte
}

func (e Extension) encode(w *writer) {
	w.uint16(uint16(e.Type))
	w.opaque(e.Data)
}

func decodeExtension(r *reader) Extension {
	return Extension{ExtensionType(r.uint16()), r.opaque()}
}

// decodeExtensions reads a list and rejects a type that occurs twice (RFC 9420 13.4).
func decodeExtensions(r *reader) []Extension {
	list := decodeAll(r, decodeExtension)
	if err := checkExtensionsUnique(list); err != nil {
		r.fail(err)
		return nil
	}
	return list
}

func checkExtensionsUnique(list []Extension) error {
	seen := make(map[ExtensionType]bool, len(list))
	for _, e := range list {
		if seen[e.Type] {
			return malformed("extension %#04x twice", uint16(e.Type)) // 13.4
		}
		seen[e.Type] = true
	}
	return nil
}

// findExtension returns the data of the extension of type t in list.
func findExtension(list []Extension, t ExtensionType) ([]byte, bool) {
	for _, e := range list {
		if e.Type == t {
			return e.Data, true
		}
	}
	return nil, false
}

// Capabilities is Capabilities of RFC 9420 7.2: what a client implements beyond
// what every client must.
type Capabilities struct {
	Versions    []uint16
	Suites      []CipherSuite
	Extensions  []ExtensionType
	Proposals   []uint16
	Credentials []uint16 // basic is 1, x509 is 2
}

func (c Capabilities) encode(w *writer) {
	encodeUint16s(w, c.Versions)
	encodeUint16s(w, c.Suites)
	encodeUint16s(w, c.Extensions)
	encodeUint16s(w, c.Proposals)
	encodeUint16s(w, c.Credentials)
}

func decodeCapabilities(r *reader) Capabilities {
	return Capabilities{
		decodeUint16s[uint16](r),
		decodeUint16s[CipherSuite](r),
		decodeUint16s[ExtensionType](r),
		decodeUint16s[uint16](r),
		decodeUint16s[uint16](r),
	}
}

func (c Capabilities) hasExtension(t ExtensionType) bool {
	return t.isDefault() || slices.Contains(c.Extensions, t)
}

func (c Capabilities) hasProposal(t proposalType) bool {
	return t.isDefault() || slices.Contains(c.Proposals, uint16(t))
}

func (c Capabilities) hasCredential(t credentialType) bool {
	return slices.Contains(c.Credentials, t)
}

// Required is the group context extension required_capabilities of RFC 9420 11.1, which
// keeps out who lacks one of c's extensions, proposals and credentials. Versions and
// suites are those of the group.
func (c Capabilities) Required() Extension {
	var w writer
	encodeUint16s(&w, c.Extensions)
	encodeUint16s(&w, c.Proposals)
	encodeUint16s(&w, c.Credentials)
	return Extension{ExtensionRequiredCapabilities, w.buf}
}

// requiredCapabilities reads the extension out of a group context; absent is empty.
func requiredCapabilities(extensions []Extension) (Capabilities, error) {
	data, ok := findExtension(extensions, ExtensionRequiredCapabilities)
	if !ok {
		return Capabilities{}, nil
	}
	return parse(data, func(r *reader) Capabilities {
		return Capabilities{Extensions: decodeUint16s[ExtensionType](r), Proposals: decodeUint16s[uint16](r), Credentials: decodeUint16s[uint16](r)}
	})
}

// satisfiedBy checks a leaf's capabilities against what a group requires (RFC 9420 7.3).
func (c Capabilities) satisfiedBy(have Capabilities) error {
	for _, t := range c.Extensions {
		if !have.hasExtension(t) {
			return invalid("required extension %#04x not supported", uint16(t)) // 7.3
		}
	}
	for _, t := range c.Proposals {
		if !have.hasProposal(proposalType(t)) {
			return invalid("required proposal %#04x not supported", t) // 7.3
		}
	}
	for _, t := range c.Credentials {
		if !have.hasCredential(t) {
			return invalid("required credential %#04x not supported", t) // 7.3
		}
	}
	return nil
}

// An ExternalSender is ExternalSender of RFC 9420 12.1.8.1: a non-member allowed to
// propose, listed in the group context.
type ExternalSender struct {
	Key        SignaturePublicKey
	Credential Credential
}

func (s ExternalSender) encode(w *writer) {
	w.opaque(s.Key)
	s.Credential.encode(w)
}

func externalSenders(extensions []Extension) ([]ExternalSender, error) {
	data, ok := findExtension(extensions, ExtensionExternalSenders)
	if !ok {
		return nil, nil
	}
	return parse(data, func(r *reader) []ExternalSender {
		return decodeAll(r, func(r *reader) ExternalSender { return ExternalSender{r.opaque(), decodeCredential(r)} })
	})
}

// ExternalSenders encodes the list for a group context.
func ExternalSenders(list []ExternalSender) Extension {
	var w writer
	encodeAll(&w, list)
	return Extension{ExtensionExternalSenders, w.buf}
}
