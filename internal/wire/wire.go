// Package wire is the one encoding of everything Writ signs, hashes or seals:
// the TLS presentation language as RFC 9420 uses it.
//
// Integers are big endian. A vector carries its length in bytes in front of
// it, as the variable-size integer of RFC 9420 section 2.1.2 in its shortest
// form. There is no optional part, no padding and no trailing byte: a document
// has one encoding, and what parses encodes again to the same bytes.
//
// A [Writer] appends fields. A [Reader] takes them off in the same order and
// remembers the first failure, so that a parser reads all its fields and asks
// once, with [Reader.Done]:
//
//	r := wire.NewReader(b)
//	version, epoch, account := r.Uint16(), r.Uint64(), r.Name()
//	if err := r.Done(); err != nil { ... }
//
// A length is compared with what is there and with the caller's bound before
// anything is allocated. Byte slices that a Reader returns alias its input.
//
// [Hash] and [SignContent] bind every hash and every signature to a label of
// the form "writ/v1 NAME", so that no value made for one purpose serves
// another.
package wire

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error of a [Reader].
var ErrMalformed = errors.New("malformed")

// maxVarint is the largest length the two-bit prefix of RFC 9420 2.1.2 can
// carry.
const maxVarint = 1<<30 - 1

// labelPrefix stands before the name of every label.
const labelPrefix = "writ/v1 "

// Hash returns SHA-256 over the label "writ/v1 "+name and the parts, each as a
// vector with its length, so that no two lists of parts hash alike.
func Hash(name string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write(appendVector(nil, []byte(labelPrefix+name)))
	for _, p := range parts {
		h.Write(appendVarint(nil, len(p)))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// SignContent returns what a signature under the label "writ/v1 "+name covers:
// the label and the content, each as a vector, in the manner of SignWithLabel
// in RFC 9420 section 5.1.2.
func SignContent(name string, content []byte) []byte {
	b := appendVector(nil, []byte(labelPrefix+name))
	return appendVector(b, content)
}

// Label returns "writ/v1 "+name, for key derivation.
func Label(name string) string { return labelPrefix + name }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
