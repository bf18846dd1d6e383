package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"writ/charter"
	"writ/internal/wire"
	"writ/warrant"
)

// Preservation is a custodian's intent to keep its shares of a whole request beyond
// the horizon, logged before it takes them out of their seals. Encoded like a
// [Release].
type Preservation struct{ Release }

func parsePreservation(b []byte) (*Preservation, error) {
	x, err := parseRelease(b)
	if err != nil {
		return nil, err
	}
	return &Preservation{*x}, nil
}

// Sign sets the signature.
func (x *Preservation) Sign(key CustodianSigner) {
	x.Signature = sign(TypePreservation, key, x.content())
}

// Verify reports whether the signature is by a custodian's signing key.
func (x *Preservation) Verify(custodian charter.CustodianKey) bool {
	return custodian.Verify(TypePreservation.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Preservation) Entry() []byte {
	return signedEntry(TypePreservation, x.content(), x.Signature)
}

// HoldEnd states that a custodian destroyed what it kept for a request. Encoded:
// request[32] || office<V> || custodian<V> || signature[64].
type HoldEnd struct {
	Request           EntryHash
	Office, Custodian string
	Signature         [64]byte // by the custodian
}

func (x *HoldEnd) content() []byte {
	var w wire.Writer
	w.Fixed(x.Request[:])
	w.String(x.Office)
	w.String(x.Custodian)
	return w.Bytes()
}

func parseHoldEnd(b []byte) (*HoldEnd, error) {
	r := wire.NewReader(b)
	x := &HoldEnd{Request: r.Array32(), Office: r.Name(), Custodian: r.Name(), Signature: signature(r)}
	if err := r.Done(); err != nil {
		return nil, malformed("hold end: %v", err)
	}
	return x, nil
}

// Sign sets the signature.
func (x *HoldEnd) Sign(key CustodianSigner) { x.Signature = sign(TypeHoldEnd, key, x.content()) }

// Verify reports whether the signature is by a custodian's signing key.
func (x *HoldEnd) Verify(custodian charter.CustodianKey) bool {
	return custodian.Verify(TypeHoldEnd.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *HoldEnd) Entry() []byte { return signedEntry(TypeHoldEnd, x.content(), x.Signature) }

// HoldUntil returns the Unix time until which what is preserved under a warrant may be
// kept by a version of its charter: counted from the begin of the warrant's life, so
// that everyone can tell from the log.
func HoldUntil(w *warrant.Public, c *charter.Charter) uint64 { return w.NotBefore + c.Limits.MaxHold }

// hold is what one custodian keeps for one request.
type hold struct {
	Until uint64
	Ended bool
}

// Preservation reports whether a custodian logged that it keeps its shares of a
// request, and until when it may, by the warrant's charter.
func (b *Book) Preservation(request EntryHash, office, custodian string) (until uint64, ok bool) {
	h, ok := b.holds.get(answer{request, office, custodian})
	return h.Until, ok
}

// HoldStopped reports whether the warrant of a request was cancelled, refused or found in
// error: what is kept for it must not be kept any longer.
func (b *Book) HoldStopped(request EntryHash) bool {
	r, ok := b.requests.get(request)
	return ok && b.warrantOf(r).stopped() != ""
}

// HoldEnded reports whether a custodian stated that it keeps a request's shares no
// more.
func (b *Book) HoldEnded(request EntryHash, office, custodian string) bool {
	h, _ := b.holds.get(answer{request, office, custodian})
	return h.Ended
}

func (b *Book) preservation(x *Preservation, index uint64) (func(), error) {
	c, w, err := b.answered(&x.Release, warrant.Preserve, x.Verify)
	if err != nil {
		return nil, err
	}
	a := answer{x.Request, x.Office, x.Custodian}
	_, again := b.holds.get(a)
	switch {
	case again:
		return nil, invalid("preserved before")
	case w.stopped() != "":
		return nil, breaks("LED-74", invalid("preservation under a warrant that %s", w.stopped()))
	}
	return func() {
		until := HoldUntil(&w.Public, c)
		b.holds.put(a, hold{Until: until})
		b.running.put(a, until)
		b.answers.add(asked{c.Name, x.Request}, Answer{Index: index, Kind: TypePreservation, Office: x.Office, Custodian: x.Custodian})
		b.statistics.activity(c.Name, w.Warrant).Preservations++
	}, nil
}

func (b *Book) holdEnd(x *HoldEnd) (func(), error) {
	a := answer{x.Request, x.Office, x.Custodian}
	switch h, ok := b.holds.get(a); {
	case !ok:
		return nil, invalid("end of a hold that is not on the log")
	case h.Ended:
		return nil, invalid("the hold ended before")
	case b.signedUnder(x.Office, x.Custodian, x.Verify, b.refusedLaws(x.Request)) == nil:
		return nil, invalid("end of a hold not signed by a custodian of the charter")
	default:
		return func() {
			b.holds.put(a, hold{h.Until, true})
			b.running.remove(a)
		}, nil
	}
}

// overdueHolds returns a finding for each hold that should have ended by now.
func (b *Book) overdueHolds(now time.Time) (late []Finding) {
	for a, until := range b.running.rows {
		r, _ := b.requests.get(a.request)
		c := b.laws[b.warrantOf(r).Charter].charter
		if uint64(max(now.Unix(), 0)) > until+c.Limits.Freshness {
			late = append(late, Finding{b.size, TypeHoldEnd.String(), "LED-92",
				fmt.Sprintf("what %s of %s keeps for request %x is not destroyed", a.custodian, a.office, a.request[:8])})
		}
	}
	slices.SortFunc(late, func(x, y Finding) int { return cmp.Compare(x.Problem, y.Problem) })
	return late
}
