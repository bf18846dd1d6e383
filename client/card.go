package client

import (
	"fmt"
	"slices"

	"writ/capsule"
	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/warrant"
)

// card is a notice as it is stored: all that it is made of, so that it is made
// and checked again each time it is shown, and can be shown to others when ledger
// and services are gone. Encoded:
//
//	struct {
//	    opaque law<V>;                             the charter
//	    uint64 warrant_index;  opaque warrant_entry<V>;
//	    uint64 request_index;  opaque request_entry<V>;
//	    opaque signature[48];                      of the request's round
//	    Compartment opened<V>;
//	    uint8  acknowledged;
//	    opaque shown<V>;  opaque salt[32];         the readable warrant, or empty
//	    opaque sequel<V>;                          see encodeSequel
//	} Card;
//	struct { opaque hash[32]; opaque label<V>; } Compartment;
type card struct {
	law          *charter.Charter
	warrant      *ledger.LoggedWarrant
	request      *ledger.LoggedRequest
	signature    *beacon.Signature
	sequel       ledger.Sequel // as the device saw it last
	opened       []notice.Compartment
	acknowledged bool
	shown        *warrant.Warrant // nil until somebody showed it to the person
	salt         [32]byte         // of its commitment
}

// card makes what is shown, and checks that all of it belongs together.
func (c *card) card() (*notice.Card, error) {
	x, err := notice.NewCard(&ledger.Notice{Law: c.law, Warrant: c.warrant, Request: c.request, Signature: c.signature, Sequel: c.sequel},
		slices.Clone(c.opened))
	if err == nil && c.shown != nil {
		err = x.Show(c.shown, c.salt)
	}
	return x, err
}

func (c *card) has(x notice.Compartment) bool {
	return slices.ContainsFunc(c.opened, func(o notice.Compartment) bool { return o.Hash == x.Hash })
}

func (c *card) encode() []byte {
	var w wire.Writer
	w.Opaque(c.law.Encode())
	w.Uint64(c.warrant.Index)
	w.Opaque(c.warrant.Entry())
	w.Uint64(c.request.Index)
	w.Opaque(c.request.Entry())
	w.Fixed(c.signature.Bytes())
	w.Opaque(encodeCompartments(c.opened))
	w.Uint8(flag(c.acknowledged))
	if c.shown != nil {
		w.Opaque(c.shown.Encode())
	} else {
		w.Opaque(nil)
	}
	w.Fixed(c.salt[:])
	w.Opaque(encodeSequel(&c.sequel))
	return w.Bytes()
}

func parseCard(b []byte) (*card, error) {
	r := wire.NewReader(b)
	law := r.Opaque(charter.MaxSize)
	warrantIndex, warrantEntry := r.Uint64(), r.Opaque(ledger.MaxEntry)
	requestIndex, requestEntry := r.Uint64(), r.Opaque(ledger.MaxEntry)
	signature, opened := r.Fixed(beacon.SignatureSize), r.Opaque(maxRecord)
	c := &card{acknowledged: readFlag(r)}
	shown := r.Opaque(warrant.MaxSize)
	c.salt = r.Array32()
	sequel := r.Opaque(maxRecord)
	if err := r.Done(); err != nil {
		return nil, err
	}
	var err error
	if c.law, err = charter.Parse(law); err != nil {
		return nil, err
	}
	if err := c.parseEntries(warrantIndex, warrantEntry, requestIndex, requestEntry); err != nil {
		return nil, err
	}
	if c.law.Beacon == nil {
		return nil, fmt.Errorf("client: %w: a card under a law without access", wire.ErrMalformed)
	}
	if c.signature, err = c.law.Beacon.Key.Verify(c.request.Round, signature); err != nil {
		return nil, err
	}
	if len(shown) > 0 {
		if c.shown, err = warrant.Parse(shown); err != nil {
			return nil, err
		}
	}
	if c.sequel, err = parseSequel(sequel); err != nil {
		return nil, err
	}
	c.opened, err = parseCompartments(opened)
	return c, err
}

func (c *card) parseEntries(warrantIndex uint64, warrantEntry []byte, requestIndex uint64, requestEntry []byte) error {
	w, err := ledger.ParseEntry(warrantEntry)
	if err != nil {
		return err
	}
	q, err := ledger.ParseEntry(requestEntry)
	if err != nil {
		return err
	}
	if w.Warrant == nil || q.Request == nil {
		return fmt.Errorf("client: %w: a card of a %v and a %v", wire.ErrMalformed, w.Type(), q.Type())
	}
	c.warrant = &ledger.LoggedWarrant{Warrant: w.Warrant, Index: warrantIndex, Hash: w.Hash()}
	c.request = &ledger.LoggedRequest{Request: q.Request, Index: requestIndex, Hash: q.Hash()}
	return nil
}

func encodeCompartments(list []notice.Compartment) []byte {
	var w wire.Writer
	for _, x := range list {
		w.Fixed(x.Hash[:])
		w.Opaque(x.Label.Encode())
	}
	return w.Bytes()
}

func parseCompartments(b []byte) (list []notice.Compartment, err error) {
	r := wire.NewReader(b)
	for r.More() {
		hash, label := capsule.Hash(r.Array32()), r.Opaque(maxText)
		l, err := capsule.ParseLabel(label)
		r.Check(err)
		list = append(list, notice.Compartment{Hash: hash, Label: l})
	}
	return list, r.Done()
}

// encodeSalts gives {opaque request[32]; opaque salt[32]; uint8 void}, of each.
func (n *notices) encodeSalts(requests []ledger.EntryHash) []byte {
	var w wire.Writer
	for _, h := range requests {
		o := n.salts[h]
		w.Fixed(h[:])
		w.Fixed(o.salt[:])
		w.Uint8(flag(o.void))
	}
	return w.Bytes()
}

func (n *notices) parseSalts(b []byte) error {
	r := wire.NewReader(b)
	for r.More() {
		h := ledger.EntryHash(r.Array32())
		n.salts[h] = opened{salt: r.Array32(), void: readFlag(r)}
	}
	return r.Done()
}
