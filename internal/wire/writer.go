package wire

import "encoding/binary"

// Writer builds an encoding field by field. The zero Writer is ready.
//
// It panics when a vector is longer than 2^30-1 bytes, which is a mistake of
// the program: every document has a far smaller bound of its own.
type Writer struct{ b []byte }

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.b }

// Uint8 appends one byte.
func (w *Writer) Uint8(v uint8) { w.b = append(w.b, v) }

// Uint16 appends two bytes.
func (w *Writer) Uint16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }

// Uint32 appends four bytes.
func (w *Writer) Uint32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }

// Uint64 appends eight bytes.
func (w *Writer) Uint64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }

// Fixed appends b without a length: its size is part of the format.
func (w *Writer) Fixed(b []byte) { w.b = append(w.b, b...) }

// Opaque appends b as a vector.
func (w *Writer) Opaque(b []byte) { w.b = appendVector(w.b, b) }

// String appends s as a vector of its UTF-8 bytes. Names are written with it
// too: the rules of [Reader.Name] are checked when reading.
func (w *Writer) String(s string) { w.b = appendVector(w.b, []byte(s)) }

// Vector appends what fill writes, as one vector.
func (w *Writer) Vector(fill func(*Writer)) {
	var inner Writer
	fill(&inner)
	w.Opaque(inner.b)
}

func appendVector(b, v []byte) []byte {
	return append(appendVarint(b, len(v)), v...)
}

func appendVarint(b []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return binary.BigEndian.AppendUint16(b, 1<<14|uint16(n))
	case n <= maxVarint:
		return binary.BigEndian.AppendUint32(b, 2<<30|uint32(n))
	}
	panic("wire: vector longer than 2^30-1 bytes")
}
