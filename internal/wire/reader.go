package wire

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name in bytes.
const MaxName = 64

// MaxTime is the last second since the Unix epoch that RFC 3339 and JSON can write: the
// year 9999 ends. A later one would be shown as another time than the one that counts, or not at
// all.
const MaxTime = 253402300799

// Reader takes fields off an encoding. After the first failure every further
// field is zero or nil, and [Reader.Err] and [Reader.Done] report that failure.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader of b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns the first failure, or nil.
func (r *Reader) Err() error { return r.err }

// Done returns the first failure, or an error if bytes are left over. It wraps
// [ErrMalformed].
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail("%d bytes after the end", len(r.b))
	}
	return r.err
}

// Fail records a failure of the caller's own checks, unless there is one.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = malformed(format, args...)
	}
	r.b = nil
}

// More reports whether bytes are left and nothing failed: the condition of a
// loop over the elements of a vector.
func (r *Reader) More() bool { return r.err == nil && len(r.b) > 0 }

// Fixed takes n bytes, n being part of the format.
func (r *Reader) Fixed(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.Fail("%d bytes missing", n-len(r.b))
	}
	if r.err != nil {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Array32 takes 32 bytes by value; it is zero after a failure.
func (r *Reader) Array32() (v [32]byte) {
	copy(v[:], r.Fixed(32))
	return v
}

// Uint8 takes one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.Fixed(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 takes two bytes.
func (r *Reader) Uint16() uint16 {
	if b := r.Fixed(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 takes four bytes.
func (r *Reader) Uint32() uint32 {
	if b := r.Fixed(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 takes eight bytes.
func (r *Reader) Uint64() uint64 {
	if b := r.Fixed(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Opaque takes a vector of at most max bytes.
func (r *Reader) Opaque(max int) []byte {
	n := r.varint()
	if r.err == nil && n > max {
		r.Fail("vector of %d bytes where at most %d are allowed", n, max)
	}
	return r.Fixed(n)
}

// Vector takes a vector of at most max bytes and returns a Reader of its
// inside. A failure inside must be handed back with [Reader.Check].
func (r *Reader) Vector(max int) *Reader { return NewReader(r.Opaque(max)) }

// Check takes over the failure of a parser or of an inner Reader.
func (r *Reader) Check(err error) {
	if r.err == nil && err != nil {
		r.err, r.b = err, nil
	}
}

// String takes a vector of at most max bytes that is UTF-8 without control
// characters, line feed excepted, so that showing it changes nothing around it.
func (r *Reader) String(max int) string {
	b := r.Opaque(max)
	if !validText(b) {
		r.Fail("text is not UTF-8 or has control characters")
		return ""
	}
	return string(b)
}

// Name takes a name; see [ValidName].
func (r *Reader) Name() string {
	s := string(r.Opaque(MaxName))
	if r.err == nil && !ValidName(s) {
		r.Fail("%q is not a name", s)
		return ""
	}
	return s
}

// ValidName reports whether s is a name: 1 to [MaxName] bytes of a-z, 0-9 and
// . _ @ -, the first a letter or a digit.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > MaxName {
		return false
	}
	for i, c := range []byte(s) {
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		sign := c == '.' || c == '_' || c == '@' || c == '-'
		if !alnum && (i == 0 || !sign) {
			return false
		}
	}
	return true
}

// validText refuses control and format characters too (category Cf holds the
// marks that reverse or hide text on a screen).
func validText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range string(b) {
		if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
			return false
		}
	}
	return true
}

// varint reads the variable-size integer of RFC 9420 section 2.1.2 and refuses
// any but the shortest form.
func (r *Reader) varint() int {
	first := r.Uint8()
	size := 1 << (first >> 6)
	if size == 8 {
		r.Fail("length with prefix 3")
	}
	v := int(first & 0x3f)
	for _, c := range r.Fixed(size - 1) {
		v = v<<8 | int(c)
	}
	if r.err == nil && len(appendVarint(nil, v)) != size {
		r.Fail("length not in its shortest form")
	}
	return v
}
