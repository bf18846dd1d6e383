package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"writ/charter"
	"writ/internal/wire"
	"writ/notice/beacon"
)

// Round is a beacon's signature of a round, with which the notices locked to it
// open. It says nothing but itself, so anybody may bring it. Encoded: uint64 round ||
// signature[48].
type Round struct {
	Round     uint64
	Signature [beacon.SignatureSize]byte
}

func parseRound(b []byte) (*Round, error) {
	r := wire.NewReader(b)
	x := &Round{Round: r.Uint64()}
	copy(x.Signature[:], r.Fixed(beacon.SignatureSize))
	if err := r.Done(); err != nil {
		return nil, malformed("round: %v", err)
	}
	return x, nil
}

// NewRound returns the round of a verified signature.
func NewRound(s *beacon.Signature) *Round {
	return &Round{s.Round(), [beacon.SignatureSize]byte(s.Bytes())}
}

// Entry returns the encoded entry.
func (x *Round) Entry() []byte {
	var w wire.Writer
	w.Uint64(x.Round)
	w.Fixed(x.Signature[:])
	return encodeEntry(TypeRound, w.Bytes())
}

// Notice is a request that counts, with what its person will be told of it. Law
// and warrant are those the request stands under.
type Notice struct {
	Law     *charter.Charter
	Warrant *LoggedWarrant
	Request *LoggedRequest
	// Signature of the request's round by the law's beacon, nil before it is on the
	// log.
	Signature *beacon.Signature
	// Told is the index at which the log had both request and round.
	Told uint64
	// Sequel is what followed the request on the log.
	Sequel Sequel
}

// Due returns the time at which the notice's round comes.
func (n *Notice) Due() time.Time {
	at, err := n.Law.Beacon.Time(n.Request.Round)
	if err != nil {
		panic("ledger: " + err.Error()) // a request with a round that never comes doesn't count
	}
	return time.Unix(int64(at), 0)
}

// notices are all requests that count, by whether they can be read.
type notices struct {
	byRound map[uint64][]*clock // one for each beacon that a request of the round waits for
	waiting []Notice            // in the order of their requests
	told    []Notice            // in the order of Told
}

// clock is one round of one beacon.
type clock struct {
	key       *beacon.PublicKey
	signature *beacon.Signature // nil before it is on the log
}

// clock returns a beacon's round, which it adds if no request was locked to it
// before.
func (n *notices) clock(key *beacon.PublicKey, round uint64) *clock {
	for _, c := range n.byRound[round] {
		if c.key.Equal(key) {
			return c
		}
	}
	c := &clock{key: key}
	n.byRound[round] = append(n.byRound[round], c)
	return c
}

// wait takes a new request. Its round may be on the log already.
func (n *notices) wait(x Notice) {
	if c := n.clock(x.Law.Beacon.Key, x.Request.Round); c.signature != nil {
		n.tell(x, c.signature, x.Request.Index)
		return
	}
	n.waiting = append(n.waiting, x)
}

func (n *notices) tell(x Notice, s *beacon.Signature, at uint64) {
	x.Signature, x.Told = s, at
	n.told = append(n.told, x)
}

// signed takes a round's signature and tells what waited for it.
func (n *notices) signed(c *clock, s *beacon.Signature, at uint64) {
	c.signature = s
	n.waiting = slices.DeleteFunc(n.waiting, func(x Notice) bool {
		due := x.Request.Round == s.Round() && x.Law.Beacon.Key.Equal(c.key)
		if due {
			n.tell(x, s, at)
		}
		return due
	})
}

// round counts a signature if it is of a round that a request waits for. It
// costs nothing to refuse one that nobody waits for.
func (b *Book) round(x *Round, index uint64) (func(), error) {
	for _, c := range b.notices.byRound[x.Round] {
		if c.signature != nil {
			continue
		}
		s, err := c.key.Verify(x.Round, x.Signature[:])
		if err == nil {
			return func() {
				b.notices.signed(c, s, index)
				b.statistics.Rounds++
			}, nil
		}
	}
	return nil, invalid("not the signature of a round that a request waits for: %d", x.Round)
}

// Notices returns the requests whose notices can be read, from those that
// became so at an index on, in the log's order, each as it stands at a time.
func (b *Book) Notices(from uint64, now time.Time) []Notice {
	at, _ := slices.BinarySearchFunc(b.notices.told, from, func(n Notice, from uint64) int { return cmp.Compare(n.Told, from) })
	return b.asOf(now, slices.Clone(b.notices.told[at:]))
}

// Waiting returns the requests whose round has come at a time and is not on the
// log, in the log's order.
func (b *Book) Waiting(now time.Time) []Notice {
	var due []Notice
	for _, n := range b.notices.waiting {
		if !n.Due().After(now) {
			due = append(due, n)
		}
	}
	return b.asOf(now, due)
}

// OverdueNotices returns a finding for each request whose round came longer ago
// than the law's freshness, and is not on the log: its operators failed, or its
// notary withholds it.
func (b *Book) OverdueNotices(now time.Time) []Finding {
	var late []Finding
	for _, n := range b.Waiting(now) {
		if age := now.Sub(n.Due()); age > time.Duration(n.Law.Limits.Freshness)*time.Second {
			late = append(late, Finding{n.Request.Index, TypeRound.String(), "LED-81",
				fmt.Sprintf("notice of request %d was due at %s: round %d is not on the log",
					n.Request.Index, n.Due().UTC().Format(time.RFC3339), n.Request.Round)})
		}
	}
	return late
}
