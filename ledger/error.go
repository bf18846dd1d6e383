package ledger

import (
	"writ/internal/wire"
	"writ/warrant"
)

// ErrorKind says what went wrong.
type ErrorKind uint8

// The kinds. Another is unsupported.
const (
	WrongPerson ErrorKind = 1 // the subject is not who was meant
	Unlawful    ErrorKind = 2 // the warrant should not have been
	BeyondScope ErrorKind = 3 // a request took more than the warrant meant
)

var errorKinds = map[ErrorKind]string{WrongPerson: "wrong person", Unlawful: "unlawful", BeyondScope: "beyond scope"}

// String returns the kind in words.
func (k ErrorKind) String() string { return errorKinds[k] }

// Error states that an opening was a mistake. One approver of an office that had
// to approve the warrant is enough. Nothing more is released under the warrant, and
// what was opened is sealed: see [Book.Sealed]. Encoded: uint64 request_index ||
// request[32] || uint8 kind || approval<V>.
type Error struct {
	RequestIndex uint64
	Request      EntryHash
	Kind         ErrorKind
	Approval     warrant.Approval // of [Error.Hash]
}

// Hash returns what the approver signs.
func (x *Error) Hash() warrant.Hash { return wire.Hash("entry error", x.content()) }

func (x *Error) content() []byte {
	var w wire.Writer
	w.Uint64(x.RequestIndex)
	w.Fixed(x.Request[:])
	w.Uint8(uint8(x.Kind))
	return w.Bytes()
}

func parseError(b []byte) (*Error, error) {
	r := wire.NewReader(b)
	x := &Error{RequestIndex: r.Uint64(), Request: r.Array32(), Kind: ErrorKind(r.Uint8())}
	list, err := approvals(r)
	switch {
	case err != nil:
		return nil, err
	case errorKinds[x.Kind] == "":
		return nil, unsupported("error kind %d", x.Kind)
	case len(list) != 1:
		return nil, malformed("error: %d approvals", len(list))
	}
	x.Approval = list[0]
	return x, nil
}

// Entry returns the encoded entry.
func (x *Error) Entry() []byte { return approvedEntry(TypeError, x.content(), x.Approval) }
