package charter

import (
	"errors"
	"fmt"

	"writ/internal/wire"
	"writ/notice/beacon"
)

// Errors, wrapped by every error of this package; malformed is
// [wire.ErrMalformed].
var (
	ErrInvalid     = errors.New("invalid")
	ErrUnsupported = errors.New("unsupported")
)

// Bounds of single fields in bytes, and of the access structure.
const (
	maxCurrency     = 3
	maxText         = 200
	maxLongText     = 4096
	maxPolicy       = 8192
	maxCredentialID = 1023
	maxKey          = 1300
	maxDepth        = 4
	maxLeaves       = 64
)

const (
	kindEd25519  = 1
	kindWebAuthn = 2
	nodeGate     = 1
	nodeLeaf     = 2
)

// Encode returns the canonical encoding. That of a charter that doesn't
// [Charter.Validate] may not parse.
func (c *Charter) Encode() []byte {
	var w wire.Writer
	w.Uint16(Format)
	for _, s := range []string{c.Name, c.Jurisdiction, c.LegalBasis, c.Language} {
		w.String(s)
	}
	w.Uint32(c.Number)
	w.Fixed(c.Previous[:])
	w.Uint64(c.Review)
	w.Uint8(uint8(c.Mode))
	vector(&w, c.Offices, writeOffice)
	w.Vector(func(w *wire.Writer) {
		if c.Structure != nil {
			writeNode(w, c.Structure)
		}
	})
	vector(&w, c.Approval, writeRule)
	vector(&w, c.Amendment, writeRule)
	vector(&w, c.Privilege, writeRule)
	writeLimits(&w, &c.Limits)
	vector(&w, c.CaseTypes, (*wire.Writer).String)
	w.Uint8(bit(c.SyncedPasskeys))
	w.String(c.RPID)
	vector(&w, c.Origins, (*wire.Writer).String)
	w.Fixed(c.Docket[:])
	w.Fixed(c.Delivery[:])
	w.String(c.Policy)
	w.String(c.Directory.Policy)
	w.Fixed(c.Directory.VRF[:])
	writeBeacon(&w, c.Beacon)
	vector(&w, c.Keys, func(w *wire.Writer, k *KeyStatement) { w.Fixed(k.Encode()) })
	return w.Bytes()
}

// Parse parses and validates a charter of at most [MaxSize] bytes. Its error
// wraps [wire.ErrMalformed], [ErrUnsupported] or [ErrInvalid].
func Parse(b []byte) (*Charter, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("charter: %w: %d bytes", wire.ErrMalformed, len(b))
	}
	r := wire.NewReader(b)
	if f := r.Uint16(); r.Err() == nil && f != Format {
		return nil, fmt.Errorf("charter: %w: format %d", ErrUnsupported, f)
	}
	c := readCharter(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("charter: %w", err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

func readCharter(r *wire.Reader) *Charter {
	c := &Charter{Name: r.String(maxText), Jurisdiction: r.String(maxText),
		LegalBasis: r.String(maxLongText), Language: r.String(maxText)}
	c.Number, c.Previous, c.Review = r.Uint32(), r.Array32(), r.Uint64()
	c.Mode = Mode(r.Uint8())
	c.Offices = list(r, readOffice)
	if v := r.Vector(MaxSize); v.More() {
		leaves := 0
		c.Structure = readNode(v, 1, &leaves)
		r.Check(v.Done())
	}
	c.Approval, c.Amendment, c.Privilege = list(r, readRule), list(r, readRule), list(r, readRule)
	c.Limits = readLimits(r)
	c.CaseTypes = list(r, (*wire.Reader).Name)
	c.SyncedPasskeys = readBit(r)
	c.RPID = r.String(maxText)
	c.Origins = list(r, func(r *wire.Reader) string { return r.String(maxText) })
	c.Docket, c.Delivery = r.Array32(), r.Array32()
	c.Policy = r.String(maxPolicy)
	c.Directory = Directory{r.String(maxPolicy), r.Array32()}
	c.Beacon = readBeacon(r)
	c.Keys = list(r, readKeyStatement)
	return c
}

func writeBeacon(w *wire.Writer, b *beacon.Beacon) {
	if b == nil {
		w.Opaque(nil)
		return
	}
	w.Opaque(b.Encode())
}

func readBeacon(r *wire.Reader) *beacon.Beacon {
	encoded := r.Opaque(beacon.Size)
	if len(encoded) == 0 {
		return nil
	}
	b, err := beacon.Parse(encoded)
	r.Check(err)
	return b
}

func writeOffice(w *wire.Writer, o Office) {
	w.String(o.ID)
	w.String(o.Title)
	vector(w, o.Approvers, writeApprover)
	vector(w, o.Custodians, func(w *wire.Writer, c Custodian) {
		w.String(c.ID)
		w.Fixed(c.Key[:])
		w.Opaque(c.Mail)
	})
}

func readOffice(r *wire.Reader) Office {
	return Office{r.Name(), r.String(maxText), list(r, readApprover),
		list(r, func(r *wire.Reader) Custodian {
			return Custodian{r.Name(), r.Array32(), clone(r.Opaque(maxKey))}
		})}
}

func writeApprover(w *wire.Writer, a Approver) {
	w.String(a.ID)
	if k := a.WebAuthn; k != nil {
		w.Uint8(kindWebAuthn)
		w.Vector(func(w *wire.Writer) {
			w.Opaque(k.CredentialID)
			w.Uint16(uint16(k.Algorithm))
			w.Opaque(k.PublicKey)
		})
	} else {
		w.Uint8(kindEd25519)
		w.Opaque(a.Key[:])
	}
	w.Opaque(a.Mail)
}

func readApprover(r *wire.Reader) Approver {
	a := Approver{ID: r.Name()}
	kind, v := r.Uint8(), r.Vector(maxKey)
	switch kind {
	case kindEd25519:
		a.Key = v.Array32()
	case kindWebAuthn:
		a.WebAuthn = &WebAuthnKey{clone(v.Opaque(maxCredentialID)), Algorithm(v.Uint16()), clone(v.Opaque(maxKey))}
	default:
		r.Fail("approver of kind %d", kind)
	}
	r.Check(v.Done())
	a.Mail = clone(r.Opaque(maxKey))
	return a
}

func writeNode(w *wire.Writer, n *Node) {
	if len(n.Children) == 0 {
		w.Uint8(nodeLeaf)
		w.String(n.Office)
		w.String(n.Custodian)
		return
	}
	w.Uint8(nodeGate)
	w.Uint8(n.Threshold)
	vector(w, n.Children, writeNode)
}

// readNode reads a node at a depth, the root's being 1. Gates without children
// are refused here because they would encode as leaves.
func readNode(r *wire.Reader, depth int, leaves *int) *Node {
	switch kind := r.Uint8(); {
	case depth > maxDepth:
		r.Fail("structure deeper than %d", maxDepth)
	case kind == nodeLeaf:
		if *leaves++; *leaves > maxLeaves {
			r.Fail("more than %d custodians", maxLeaves)
		}
		return &Node{Office: r.Name(), Custodian: r.Name()}
	case kind == nodeGate:
		n := &Node{Threshold: r.Uint8()}
		n.Children = list(r, func(r *wire.Reader) *Node { return readNode(r, depth+1, leaves) })
		if len(n.Children) == 0 {
			r.Fail("gate without children")
		}
		return n
	default:
		r.Fail("node of type %d", kind)
	}
	return nil
}

func writeRule(w *wire.Writer, r Rule) {
	w.String(r.Office)
	w.Uint8(r.Threshold)
}

func readRule(r *wire.Reader) Rule { return Rule{r.Name(), r.Uint8()} }

func writeLimits(w *wire.Writer, l *Limits) {
	w.Uint64(l.MaxEpochAge)
	w.Uint64(l.MaxWindow)
	w.Uint64(l.MaxWarrantLife)
	w.Uint32(l.CapSubjects)
	for _, v := range []uint64{l.CapPeriod, l.MaxNoticeDelay, l.KeyPeriod, l.Horizon, l.ActivationDelay, l.Freshness, l.MaxHold} {
		w.Uint64(v)
	}
	w.Uint8(bit(l.Urgent != nil))
	if l.Urgent != nil {
		w.Uint64(l.Urgent.MaxLife)
		w.Uint64(l.Urgent.ReviewWithin)
	}
	w.Uint8(bit(l.Tariff != nil))
	if t := l.Tariff; t != nil {
		w.String(t.Currency)
		w.Uint64(t.PerOpening)
		w.Uint64(t.PerCompartment)
	}
}

func readLimits(r *wire.Reader) Limits {
	l := Limits{MaxEpochAge: r.Uint64(), MaxWindow: r.Uint64(), MaxWarrantLife: r.Uint64(),
		CapSubjects: r.Uint32(), CapPeriod: r.Uint64(), MaxNoticeDelay: r.Uint64(), KeyPeriod: r.Uint64(),
		Horizon: r.Uint64(), ActivationDelay: r.Uint64(), Freshness: r.Uint64(), MaxHold: r.Uint64()}
	if readBit(r) {
		l.Urgent = &Urgent{MaxLife: r.Uint64(), ReviewWithin: r.Uint64()}
	}
	if readBit(r) {
		l.Tariff = &Tariff{r.String(maxCurrency), r.Uint64(), r.Uint64()}
	}
	return l
}

func vector[T any](w *wire.Writer, items []T, write func(*wire.Writer, T)) {
	w.Vector(func(w *wire.Writer) {
		for _, item := range items {
			write(w, item)
		}
	})
}

func list[T any](r *wire.Reader, read func(*wire.Reader) T) []T {
	v := r.Vector(MaxSize)
	var items []T
	for v.More() {
		items = append(items, read(v))
	}
	r.Check(v.Done())
	return items
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func readBit(r *wire.Reader) bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail("flag of value %d", v)
	}
	return v == 1
}

// clone detaches what stays in a document from the input.
func clone(b []byte) []byte { return append([]byte(nil), b...) }
