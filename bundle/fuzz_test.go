package bundle

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// FuzzParse takes any bytes, their checksum made right so that the fuzzer gets
// past it: what parses encodes again to the same bytes, and Verify does not panic.
func FuzzParse(f *testing.F) {
	w := newWorld(f)
	_, contents := w.good()
	f.Add(contents.encode())
	f.Add([]byte(magic))
	contents.Compartments[0].Messages = nil
	contents.Charters = nil
	f.Add(contents.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= sha256.Size {
			b = seal(bytes.Clone(b[:len(b)-sha256.Size]))
		}
		if c, err := parse(b); err == nil && !bytes.Equal(c.encode(), b) {
			t.Error("encodes to other bytes")
		}
		if r, err := Verify(b, w.policy); (r == nil) != (err != nil) {
			t.Errorf("report %v with error %v", r, err)
		}
	})
}

// FuzzVerify replaces a piece of a bundle that this process built: then it is
// the same bundle, or it does not verify.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	_, contents := w.good()
	good := contents.encode()
	body := good[:len(good)-sha256.Size]
	f.Add(uint32(0), uint16(0), []byte{})
	f.Add(uint32(len(magic)+4), uint16(4), []byte("text"))
	f.Add(uint32(len(body)-70), uint16(70), make([]byte, 70))
	f.Fuzz(func(t *testing.T, at uint32, cut uint16, patch []byte) {
		from := int(at) % len(body)
		to := min(from+int(cut), len(body))
		b := seal(append(append(bytes.Clone(body[:from]), patch...), body[to:]...))
		if _, err := Verify(b, w.policy); (err == nil) != bytes.Equal(b, good) {
			t.Errorf("%d bytes at %d replaced by %x: %v", to-from, from, patch, err)
		}
	})
}
