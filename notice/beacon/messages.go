package beacon

import (
	"crypto/ed25519"
	"fmt"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"writ/internal/wire"
)

// A document of a ceremony:
//
//	struct {
//	    uint16 format = 1;
//	    uint8  type;          1 deal, 2 response, 3 answer
//	    opaque ceremony[32];
//	    uint8  seat;          of the signer: a dealer's, or for responses a member's
//	    opaque body<V>;
//	    opaque signature[64]; over ("writ/v1 beacon deal" | "... response" | "... answer"),
//	                          of ceremony || seat || body<V>
//	} Document;
//
//	deal:     opaque commitments<V>;  threshold points of G2, constant term first
//	          opaque shares<V>;       of opaque sealed[1168], by the members' seats
//	response: opaque view[32];        hash of the deals that the member saw
//	          uint8  complaints<V>;   seats of dealers, ascending
//	answer:   struct { uint8 seat; opaque share[32]; } shares<V>;  ascending
//
// sealed is HPKE in base mode (RFC 9180: X-Wing, HKDF-SHA256, ChaCha20-Poly1305), info
// H("writ/v1 beacon share", ceremony, uint8 dealer, uint8 member), of the 32
// bytes of the dealer's polynomial at seat+1.

// MaxDocument bounds a document in bytes.
const MaxDocument = 2 + 1 + 32 + 1 + 4 + maxBody + ed25519.SignatureSize

const (
	sealedSize = 1120 + scalarSize + 16
	maxBody    = 4 + MaxMembers*PublicKeySize + 4 + MaxMembers*sealedSize
)

// kind is a document's type.
type kind uint8

const (
	kindDeal     kind = 1
	kindResponse kind = 2
	kindAnswer   kind = 3
)

func (k kind) String() string {
	switch k {
	case kindDeal:
		return "deal"
	case kindResponse:
		return "response"
	case kindAnswer:
		return "answer"
	}
	return fmt.Sprintf("document of type %d", uint8(k))
}

// label is the label of a document's signature.
func (k kind) label() string { return "beacon " + k.String() }

// document is the outside of one, before its signature is verified.
type document struct {
	kind      kind
	ceremony  [32]byte
	seat      int
	body      []byte
	signature []byte
}

func parseDocument(b []byte) (*document, error) {
	r := wire.NewReader(b)
	if f := r.Uint16(); r.Err() == nil && f != Format {
		return nil, unsupported("document format %d", f)
	}
	d := &document{kind: kind(r.Uint8()), ceremony: r.Array32(), seat: int(r.Uint8()), body: r.Opaque(maxBody),
		signature: r.Fixed(ed25519.SignatureSize)}
	if err := r.Done(); err != nil {
		return nil, wrap("document", err)
	}
	if d.kind < kindDeal || d.kind > kindAnswer {
		return nil, unsupported("%v", d.kind)
	}
	return d, nil
}

func (d *document) content() []byte {
	var w wire.Writer
	w.Fixed(d.ceremony[:])
	w.Uint8(uint8(d.seat))
	w.Opaque(d.body)
	return wire.SignContent(d.kind.label(), w.Bytes())
}

func (d *document) verify(key OperatorKey) bool {
	return ed25519.Verify(key[:], d.content(), d.signature)
}

// sign returns the encoded document.
func (d *document) sign(s OperatorSigner) []byte {
	var w wire.Writer
	w.Uint16(Format)
	w.Uint8(uint8(d.kind))
	w.Fixed(d.ceremony[:])
	w.Uint8(uint8(d.seat))
	w.Opaque(d.body)
	w.Fixed(ed25519.Sign(ed25519.PrivateKey(s), d.content()))
	return w.Bytes()
}

// deal is what a dealer hands out.
type deal struct {
	commitments []bls.G2Affine
	sealed      [][]byte // by the members' seats
}

func (d *deal) body() []byte {
	var w wire.Writer
	w.Opaque(encodeG2s(d.commitments))
	w.Vector(func(w *wire.Writer) {
		for _, s := range d.sealed {
			w.Fixed(s)
		}
	})
	return w.Bytes()
}

func parseDeal(body []byte, c *Ceremony) (*deal, error) {
	r := wire.NewReader(body)
	points, shares := r.Opaque(MaxMembers*PublicKeySize), r.Vector(MaxMembers*sealedSize)
	d := &deal{}
	for range c.Members {
		d.sealed = append(d.sealed, shares.Fixed(sealedSize))
	}
	r.Check(shares.Done())
	if err := r.Done(); err != nil {
		return nil, wrap("deal", err)
	}
	var err error
	d.commitments, err = parseG2s(points, int(c.Threshold))
	if err != nil {
		return nil, err
	}
	return d, nil
}

// response is what a member says to the deals.
type response struct {
	view       [32]byte
	complaints []int // seats of dealers, ascending
}

func (x *response) body() []byte {
	var w wire.Writer
	w.Fixed(x.view[:])
	w.Vector(func(w *wire.Writer) {
		for _, seat := range x.complaints {
			w.Uint8(uint8(seat))
		}
	})
	return w.Bytes()
}

func parseResponse(body []byte) (*response, error) {
	r := wire.NewReader(body)
	x := &response{view: r.Array32()}
	list := r.Vector(MaxMembers)
	for list.More() {
		x.complaints = append(x.complaints, int(list.Uint8()))
	}
	r.Check(list.Done())
	if err := r.Done(); err != nil {
		return nil, wrap("response", err)
	}
	for i := 1; i < len(x.complaints); i++ {
		if x.complaints[i-1] >= x.complaints[i] {
			return nil, malformed("response: complaints are not in order")
		}
	}
	return x, nil
}

// answer is what a dealer says to complaints: the shares of who complained. The
// board demands exactly their seats, ascending.
type answer struct {
	seats  []int // of members
	shares []fr.Element
}

func (x *answer) body() []byte {
	var w wire.Writer
	w.Vector(func(w *wire.Writer) {
		for i, seat := range x.seats {
			w.Uint8(uint8(seat))
			s := x.shares[i].Bytes()
			w.Fixed(s[:])
		}
	})
	return w.Bytes()
}

func parseAnswer(body []byte) (*answer, error) {
	r := wire.NewReader(body)
	list := r.Vector(MaxMembers * (1 + scalarSize))
	x := &answer{}
	for list.More() {
		seat, b := int(list.Uint8()), list.Fixed(scalarSize)
		if list.Err() != nil {
			break
		}
		s, err := parseScalar(b)
		if err != nil {
			return nil, err
		}
		x.seats, x.shares = append(x.seats, seat), append(x.shares, s)
	}
	r.Check(list.Done())
	if err := r.Done(); err != nil {
		return nil, wrap("answer", err)
	}
	return x, nil
}
