package forger

import (
	"slices"

	"writ/capsule"
	"writ/internal/wire"
)

// Capsule encodes a capsule with its parts changed, as no Sealer would.
func Capsule(c *capsule.Capsule, change func(l *capsule.Label, body *[]byte, shares *[]capsule.Share)) []byte {
	label, body, shares := *c.Label(), slices.Clone(c.Body()), slices.Clone(c.Shares())
	change(&label, &body, &shares)
	var w wire.Writer
	w.Uint16(capsule.Version)
	w.Fixed(label.Encode())
	w.Opaque(body)
	w.Vector(func(w *wire.Writer) {
		for _, s := range shares {
			w.Fixed(s.Commitment[:])
			w.Opaque(s.Enc)
			w.Opaque(s.Ciphertext)
		}
	})
	return w.Bytes()
}

// Relabel moves a capsule to another compartment.
func Relabel(c *capsule.Capsule, change func(*capsule.Label)) []byte {
	return Capsule(c, func(l *capsule.Label, _ *[]byte, _ *[]capsule.Share) { change(l) })
}
