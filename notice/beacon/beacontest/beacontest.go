// Package beacontest makes beacons with the shares of all their operators, for
// the tests of rooms that work under one. Keys derive from a seed, so the same
// call gives the same beacon.
//
// Who holds as many shares as the threshold can tell everybody early: nothing
// but tests may import this package.
package beacontest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"

	"writ/notice/beacon"
)

// World is a beacon with everybody's secrets. Operators are named "a", "b", ...
type World struct {
	Group     *beacon.Group
	Shares    []*beacon.Share // by seat
	Operators []*beacon.Operator
}

// New holds a ceremony of n operators with a threshold.
func New(seed string, genesis, period uint64, threshold uint8, n int) *World {
	w := &World{}
	c := &beacon.Ceremony{Nonce: sha256.Sum256([]byte(seed)), Genesis: genesis, Period: period, Threshold: threshold}
	for i := range n {
		o := operator(fmt.Sprint(seed, i))
		w.Operators = append(w.Operators, o)
		c.Members = append(c.Members, beacon.Member{Name: Name(i), Key: o.Signer.Public(), Mail: o.Mail.Public()})
	}
	b := must(beacon.NewBoard(c, nil))
	for _, act := range []func(*beacon.Operator) ([]byte, error){
		func(o *beacon.Operator) ([]byte, error) { return o.Deal(b, nil) },
		func(o *beacon.Operator) ([]byte, error) { return o.Respond(b) },
	} {
		for _, o := range w.Operators {
			check(b.Post(must(act(o))))
		}
		check(b.Close())
	}
	w.Group = must(b.Group())
	for _, o := range w.Operators {
		w.Shares = append(w.Shares, must(o.Share(b)))
	}
	return w
}

// Name returns the name of the operator with a seat.
func Name(seat int) string { return string(rune('a' + seat)) }

func operator(seed string) *beacon.Operator {
	derive := func(what string) []byte {
		h := sha256.Sum256([]byte(seed + ": " + what))
		return h[:]
	}
	return &beacon.Operator{Signer: beacon.OperatorSigner(ed25519.NewKeyFromSeed(derive("signer"))),
		Mail: must(beacon.ParseMailOpener(derive("mail"))), Seed: [32]byte(derive("seed"))}
}

// Beacon returns what a charter names.
func (w *World) Beacon() *beacon.Beacon { return w.Group.Beacon() }

// Sign returns the signature of a round, come or not: the first operators, as
// many as the threshold, conspire.
func (w *World) Sign(round uint64) *beacon.Signature {
	var partials []*beacon.Partial
	for _, s := range w.Shares {
		partials = append(partials, must(w.Group.VerifyPartial(round, must(s.Sign(round, math.MaxInt64)))))
	}
	return must(w.Group.Combine(partials))
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic("beacontest: " + err.Error())
	}
}
