package mls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The four ways in which bytes or requests are turned down. Every error of this
// package wraps one of them, or ErrConsumed.
var (
	ErrMalformed   = errors.New("mls: malformed")   // the bytes don't parse
	ErrInvalid     = errors.New("mls: invalid")     // they parse, and break a rule of RFC 9420
	ErrUnsupported = errors.New("mls: unsupported") // well known, not implemented here
	ErrRefused     = errors.New("mls: refused")     // lawful, and the Config doesn't allow it
)

func malformed(format string, a ...any) error   { return wrap(ErrMalformed, format, a) }
func invalid(format string, a ...any) error     { return wrap(ErrInvalid, format, a) }
func unsupported(format string, a ...any) error { return wrap(ErrUnsupported, format, a) }
func refused(format string, a ...any) error     { return wrap(ErrRefused, format, a) }

func wrap(kind error, format string, a []any) error {
	return fmt.Errorf("%w: %w", kind, fmt.Errorf(format, a...))
}

// maxVector is the longest vector that the varint of RFC 9420 2.1.2 can announce.
const maxVector = 1<<30 - 1

// writer appends the TLS presentation language of RFC 9420 2 to a buffer.
type writer struct{ buf []byte }

func (w *writer) uint8(v uint8)   { w.buf = append(w.buf, v) }
func (w *writer) uint16(v uint16) { w.buf = binary.BigEndian.AppendUint16(w.buf, v) }
func (w *writer) uint32(v uint32) { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }
func (w *writer) uint64(v uint64) { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }
func (w *writer) raw(b []byte)    { w.buf = append(w.buf, b...) }

// opaque writes opaque<V>.
func (w *writer) opaque(b []byte) {
	w.buf = appendLength(w.buf, len(b))
	w.raw(b)
}

// vector writes T<V>, whose elements are what f appends.
func (w *writer) vector(f func(*writer)) {
	start := len(w.buf)
	w.buf = append(w.buf, 0) // a short length; a longer one moves what follows
	f(w)
	body := w.buf[start+1:]
	var room [4]byte
	length := appendLength(room[:0], len(body))
	w.buf = append(w.buf, length[1:]...)
	copy(w.buf[start+len(length):], body)
	copy(w.buf[start:], length)
}

// present writes the first byte of an optional<T>, and returns its argument.
func (w *writer) present(ok bool) bool {
	if ok {
		w.uint8(1)
	} else {
		w.uint8(0)
	}
	return ok
}

// appendLength writes the shortest varint of RFC 9420 2.1.2. Longer vectors than
// maxVector would need more memory than any caller of this package has a use for.
func appendLength(b []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(n)|0x4000)
	case n <= maxVector:
		return binary.BigEndian.AppendUint32(b, uint32(n)|0x80000000)
	}
	panic("mls: vector longer than 2^30-1 bytes")
}

// encoder is implemented by every structure of the RFC.
type encoder interface{ encode(*writer) }

func marshal(v encoder) []byte {
	var w writer
	v.encode(&w)
	return w.buf
}

// encodeAll writes T<V> for elements that encode themselves.
func encodeAll[T encoder](w *writer, list []T) {
	w.vector(func(w *writer) {
		for _, v := range list {
			v.encode(w)
		}
	})
}

// encodeUint16s writes a vector of 16-bit code points.
func encodeUint16s[T ~uint16](w *writer, list []T) {
	w.vector(func(w *writer) {
		for _, v := range list {
			w.uint16(uint16(v))
		}
	})
}

// reader consumes a buffer. Its error sticks: after it every read yields zero, so
// a decoder reads all its fields and the caller asks once. Nothing is allocated
// for a length that the buffer doesn't hold.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.buf = nil
}

// raw returns the next n bytes, not copied.
func (r *reader) raw(n int) []byte {
	if n > len(r.buf) {
		r.fail(malformed("truncated"))
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) uint8() uint8 {
	if b := r.raw(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.raw(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.raw(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.raw(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// length reads a varint and rejects all but its shortest form (RFC 9420 2.1.2).
func (r *reader) length() int {
	first := r.uint8()
	size := 1 << (first >> 6)
	if size == 8 {
		r.fail(malformed("varint prefix 3"))
		return 0
	}
	n := int(first & 0x3f)
	for _, b := range r.raw(size - 1) {
		n = n<<8 | int(b)
	}
	if size > 1 && n < 1<<(8*(size/2)-2) {
		r.fail(malformed("varint not minimal"))
		return 0
	}
	return n
}

// opaque reads opaque<V> into memory of its own.
func (r *reader) opaque() []byte { return bytes.Clone(r.raw(r.length())) }

// present reads the first byte of an optional<T>.
func (r *reader) present() bool {
	b := r.uint8()
	if b > 1 {
		r.fail(malformed("presence byte %d", b))
	}
	return b == 1
}

// decodeAll reads T<V>. Each element takes at least one byte, which bounds the list.
func decodeAll[T any](r *reader, element func(*reader) T) []T {
	sub := reader{buf: r.raw(r.length()), err: r.err}
	var list []T
	for len(sub.buf) > 0 {
		v := element(&sub)
		if sub.err != nil {
			r.fail(sub.err)
			return nil
		}
		list = append(list, v)
	}
	return list
}

func decodeUint16s[T ~uint16](r *reader) []T {
	return decodeAll(r, func(r *reader) T { return T(r.uint16()) })
}

// parse decodes the whole of b, or returns nothing beside an error.
func parse[T any](b []byte, decode func(*reader) T) (T, error) {
	var zero T
	r := reader{buf: b}
	v := decode(&r)
	if r.err != nil {
		return zero, r.err
	}
	if len(r.buf) > 0 {
		return zero, malformed("%d trailing bytes", len(r.buf))
	}
	return v, nil
}
