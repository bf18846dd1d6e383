package ledger

import (
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
func (n *Notice) Due() time.Time { return roundTime(n.Law, n.Request.Round) }

func roundTime(law *charter.Charter, round uint64) time.Time {
	at, err := law.Beacon.Time(round)
	if err != nil {
		panic("ledger: " + err.Error()) // a request with a round that never comes doesn't count
	}
	return time.Unix(int64(at), 0)
}

// clock is one round of one beacon.
type clock struct {
	law       charter.Hash // one that has the beacon
	key       *beacon.PublicKey
	round     uint64
	signature *beacon.Signature // nil before it is on the log
}

// waiting is a request whose round is not on the log.
type waiting struct {
	Request EntryHash
	Law     charter.Hash
	Round   uint64
}

// told is a request that can be read since the log had, at an index, both it and its
// round.
type told struct {
	Request EntryHash
	At      uint64
}

// clock returns a beacon's round, which it adds if no request was locked to it
// before.
func (b *Book) clock(law charter.Hash, round uint64) *clock {
	list, _ := b.clocks.get(round)
	key := b.laws[law].charter.Beacon.Key
	for _, c := range list {
		if c.key.Equal(key) {
			return c
		}
	}
	c := &clock{law: law, key: key, round: round}
	b.clocks.put(round, append(list, c))
	return c
}

// wait takes a new request. Its round may be on the log already.
func (b *Book) wait(law charter.Hash, r *LoggedRequest) {
	if c := b.clock(law, r.Round); c.signature != nil {
		b.told.add(none{}, told{r.Hash, r.Index})
		return
	}
	b.waiting.put(r.Index, waiting{r.Hash, law, r.Round})
}

// signed takes a round's signature and tells what waited for it.
func (b *Book) signed(c *clock, s *beacon.Signature, at uint64) {
	list, _ := b.clocks.get(c.round)
	list = slices.Clone(list)
	list[slices.Index(list, c)] = &clock{c.law, c.key, c.round, s}
	b.clocks.put(c.round, list)
	for _, index := range b.awaiting(func(x waiting) bool {
		return x.Round == c.round && b.laws[x.Law].charter.Beacon.Key.Equal(c.key)
	}) {
		b.told.add(none{}, told{b.waiting.rows[index].Request, at})
		b.waiting.remove(index)
	}
}

// awaiting returns the indexes of the waiting requests that are due, ascending.
func (b *Book) awaiting(due func(waiting) bool) (indexes []uint64) {
	for index, x := range b.waiting.rows {
		if due(x) {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	return indexes
}

// round counts a signature if it is of a round that a request waits for. It
// costs nothing to refuse one that nobody waits for.
func (b *Book) round(x *Round, index uint64) (func(), error) {
	list, _ := b.clocks.get(x.Round)
	for _, c := range list {
		if c.signature != nil {
			continue
		}
		s, err := c.key.Verify(x.Round, x.Signature[:])
		if err == nil {
			return func() {
				b.signed(c, s, index)
				b.statistics.Rounds++
			}, nil
		}
	}
	return nil, invalid("not the signature of a round that a request waits for: %d", x.Round)
}

// notice returns what its person will be told of a request.
func (b *Book) notice(request EntryHash, now time.Time) Notice {
	r, _ := b.requests.get(request)
	w := b.warrantOf(r)
	return Notice{Law: b.laws[w.Charter].charter, Warrant: w, Request: r, Sequel: b.Sequel(request, now)}
}

// Notices returns the requests whose notices can be read, from those that
// became so at an index on, in the log's order, each as it stands at a time.
func (b *Book) Notices(from uint64, now time.Time) (list []Notice) {
	first := b.told.search(none{}, func(t told) bool { return t.At < from })
	for _, t := range b.told.from(none{}, first) {
		n := b.notice(t.Request, now)
		n.Signature, n.Told = b.clock(n.Warrant.Charter, n.Request.Round).signature, t.At
		list = append(list, n)
	}
	return list
}

// Waiting returns the requests whose round has come at a time and is not on the
// log, in the log's order.
func (b *Book) Waiting(now time.Time) (list []Notice) {
	for _, index := range b.awaiting(func(x waiting) bool { return !b.roundTime(x).After(now) }) {
		list = append(list, b.notice(b.waiting.rows[index].Request, now))
	}
	return list
}

func (b *Book) roundTime(x waiting) time.Time {
	return roundTime(b.laws[x.Law].charter, x.Round)
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
