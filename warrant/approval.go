package warrant

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"strings"

	"writ/internal/wire"
)

// Kind says how an approval is signed; it equals the approver's kind in the
// charter.
type Kind uint8

// The kinds.
const (
	Ed25519  Kind = 1
	WebAuthn Kind = 2
)

const (
	maxApprovals = 255
	maxSignature = 8192
)

// Approval is one approver's signature over one office's approval of one
// warrant, or of an entry of the ledger:
//
//	struct { Name office, approver; uint8 kind; opaque signature<V>; } Approval;
//
// What is approved is a hash: of a warrant [Public.Hash]. An Ed25519 signature
// covers SignContent("approval", office<V> || hash). A WebAuthn signature is an
// encoded [Assertion] whose challenge is [Challenge].
type Approval struct {
	Office    string
	Approver  string
	Kind      Kind
	Signature []byte
}

// Approve signs for an office what a hash stands for: a warrant
// ([Public.Hash]), whose [Warrant.Explain] the approver should have read first,
// or an entry of the ledger by which an office cancels, reviews or corrects one.
func (k *ApproverKey) Approve(h Hash, office, approver string) Approval {
	content := wire.SignContent("approval", approvalContent(office, h))
	return Approval{office, approver, Ed25519, ed25519.Sign(k.private, content)}
}

// Challenge is the WebAuthn challenge, 32 bytes, of an office's approval of what
// a hash stands for.
func Challenge(office string, h Hash) [32]byte {
	return wire.Hash("approval", []byte(office), h[:])
}

func approvalContent(office string, h Hash) []byte {
	var w wire.Writer
	w.String(office)
	w.Fixed(h[:])
	return w.Bytes()
}

// CompareApprovals orders approvals by office and approver.
func CompareApprovals(a, b Approval) int {
	return cmp.Or(strings.Compare(a.Office, b.Office), strings.Compare(a.Approver, b.Approver))
}

// EncodeApprovals encodes a list of approvals as one vector's inside.
func EncodeApprovals(list []Approval) []byte {
	var w wire.Writer
	for _, a := range list {
		w.String(a.Office)
		w.String(a.Approver)
		w.Uint8(uint8(a.Kind))
		w.Opaque(a.Signature)
	}
	return w.Bytes()
}

// ParseApprovals reads what [EncodeApprovals] wrote, at most 255 approvals.
func ParseApprovals(b []byte) ([]Approval, error) {
	r := wire.NewReader(b)
	var list []Approval
	for r.More() {
		a := Approval{r.Name(), r.Name(), Kind(r.Uint8()), r.Opaque(maxSignature)}
		if r.Err() == nil && a.Kind != Ed25519 && a.Kind != WebAuthn {
			return nil, unsupported("approval kind", "%d", a.Kind)
		}
		if list = append(list, a); len(list) > maxApprovals {
			r.Fail("more than %d approvals", maxApprovals)
		}
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("warrant: approvals: %w", err)
	}
	return list, nil
}
