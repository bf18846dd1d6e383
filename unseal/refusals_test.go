package unseal

import (
	"crypto/hpke"
	"slices"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/internal/forger"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// day and limits below are those of chartertest: freshness 10 minutes, life 30
// days, window 31 days, notice after 90 days, horizon 180 days.
const day = 86400

// refusal is one row: a good request with one thing wrong, and the reason.
type refusal struct {
	name   string
	want   Reason
	law    func(*charter.Charter) // changes the charter before it is logged
	before func(*world)           // happens before the request
	parts  func(*world) []Compartment
	edits  func(*world) edits
	after  func(*world)
}

// part gives the parts of a request: alice's first epoch, re-encoded.
func part(change func(*capsule.Label)) func(*world) []Compartment {
	return func(w *world) []Compartment {
		return []Compartment{{Capsule: relabel(w.seal("alice", "c", 1), change)}}
	}
}

func order(change func(*world, *warrant.Warrant)) func(*world) edits {
	return func(w *world) edits { return edits{order: func(o *warrant.Warrant) { change(w, o) }} }
}

func request(change func(*world, *ledger.Request)) func(*world) edits {
	return func(w *world) edits { return edits{request: func(r *ledger.Request) { change(w, r) }} }
}

func entry(change func(*ledger.Warrant)) func(*world) edits {
	return func(*world) edits { return edits{entry: change} }
}

func pack(change func(*world, *Request)) func(*world) edits {
	return func(w *world) edits { return edits{parcel: func(q *Request) { change(w, q) }} }
}

func approvals(change func(*world, *ledger.Warrant)) func(*world) edits {
	return func(w *world) edits { return edits{approve: func(x *ledger.Warrant) { change(w, x) }} }
}

func facts(change func(*world, *Facts)) func(*world) edits {
	return func(w *world) edits { return edits{facts: func(f *Facts) { change(w, f) }} }
}

var refusals = []refusal{
	{name: "warrant with a trailing byte", want: ReasonMalformed,
		edits: pack(func(_ *world, q *Request) { q.Warrant = append(q.Warrant, 0) })},
	{name: "R37 warrant with an unknown flag", want: ReasonMalformed,
		edits: pack(func(_ *world, q *Request) { q.Warrant[len(q.Warrant)-1] = 8 })},
	{name: "R35 privileged under a law without the rule", want: ReasonPrivilege,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Flags = warrant.IsPrivileged })},
	{name: "R37 warrant of an unknown version", want: ReasonMalformed,
		edits: pack(func(_ *world, q *Request) { q.Warrant[1] = 2 })},
	{name: "warrant entry cut", want: ReasonMalformed,
		edits: pack(func(_ *world, q *Request) { q.WarrantEntry = q.WarrantEntry[1:] })},
	{name: "request entry cut", want: ReasonMalformed,
		edits: pack(func(_ *world, q *Request) { q.RequestEntry = nil })},
	{name: "entries swapped", want: ReasonMalformed,
		edits: pack(func(_ *world, q *Request) { q.WarrantEntry, q.RequestEntry = q.RequestEntry, q.WarrantEntry })},

	{name: "warrant under another charter", want: ReasonCharter,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Charter[0] ^= 1 })},
	{name: "law that I don't serve", want: ReasonCharter,
		edits: facts(func(_ *world, f *Facts) { f.Charter = "Elsewhere" })},
	{name: "R36 no clock", want: ReasonCharter, edits: facts(func(_ *world, f *Facts) { f.Now = time.Time{} })},
	{name: "I am no custodian", want: ReasonCharter,
		edits: facts(func(w *world, f *Facts) { f.Keys = w.keys("judicial", "judicial-4") })},
	{name: "I am of another office", want: ReasonCharter,
		edits: facts(func(w *world, f *Facts) { f.Keys = w.keys("oversight", "judicial-1") })},
	{name: "R32 charter amended and in force", want: ReasonCharter,
		before: func(w *world) { w.counted(ledger.CharterEntry(w.Sign(amended(w)))) },
		after:  func(w *world) { w.now = w.now.Add(8 * day * time.Second) },
		edits: pack(func(w *world, q *Request) {
			later := w.now.Add(8 * day * time.Second)
			q.WarrantProof, q.RequestProof = w.log.reproof(q.WarrantProof, later), w.log.reproof(q.RequestProof, later)
		})},
	{name: "R32 charter amended, with other offices", want: ReasonCharter,
		before: func(w *world) {
			next := amended(w)
			next.Approval = append(slices.Clone(next.Approval), charter.Rule{Office: "bar", Threshold: 1})
			w.counted(ledger.CharterEntry(w.Sign(next)))
		},
		after: func(w *world) { w.now = w.now.Add(8 * day * time.Second) }},
	{name: "witness policy of my own", want: ReasonPolicy,
		edits: facts(func(w *world, f *Facts) { f.Policy = must(ledger.ParsePolicy(w.Charter.Policy + "# mine\n")) })},

	{name: "jurisdiction", want: ReasonJurisdiction,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Jurisdiction = "Elsewhere" })},
	{name: "case type", want: ReasonCaseType,
		edits: order(func(_ *world, o *warrant.Warrant) { o.CaseType = "curiosity" })},
	{name: "emergency without procedure", want: ReasonEmergency, law: func(c *charter.Charter) { c.Limits.Urgent = nil },
		edits: order(func(_ *world, o *warrant.Warrant) { o.Flags, o.NotAfter = warrant.IsEmergency, o.NotBefore+3600 })},
	{name: "R19 life too long", want: ReasonLifeLength,
		edits: order(func(_ *world, o *warrant.Warrant) { o.NotAfter = o.NotBefore + 30*day + 1 })},
	{name: "R19 window too long", want: ReasonWindow,
		edits: order(func(w *world, o *warrant.Warrant) {
			o.WindowEnd = w.now.Add((31*day + 1) * time.Second).Format(time.RFC3339)
		})},
	{name: "notice too late", want: ReasonNoticeDelay,
		edits: order(func(_ *world, o *warrant.Warrant) { o.NoticeDue = o.NotBefore + 100*day + 1 })},

	{name: "nobody approved", want: ReasonApprovals,
		edits: approvals(func(_ *world, x *ledger.Warrant) { x.Approvals = nil })},
	{name: "one office approved", want: ReasonApprovals,
		edits: approvals(func(_ *world, x *ledger.Warrant) { x.Approvals = x.Approvals[:1] })},
	{name: "approvals of another warrant", want: ReasonApprovals,
		edits: approvals(func(w *world, x *ledger.Warrant) {
			x.Approvals = warranttest.Approvals(w.World, w.order().Public([32]byte{1}, w.Charter))
		})},
	{name: "approvals of the warrant with another salt", want: ReasonApprovals,
		edits: func(w *world) (e edits) {
			e.order = func(o *warrant.Warrant) {
				p := o.Public([32]byte{1}, w.Charter)
				e.approve = func(x *ledger.Warrant) { x.Approvals = warranttest.Approvals(w.World, p) }
			}
			return edits{order: e.order, approve: func(x *ledger.Warrant) { e.approve(x) }}
		}},

	{name: "R2 no proof of the warrant", want: ReasonNotLogged,
		edits: pack(func(_ *world, q *Request) { q.WarrantProof = nil })},
	{name: "R2 no proof of the request", want: ReasonNotLogged,
		edits: pack(func(_ *world, q *Request) { q.RequestProof = nil })},
	{name: "R2 proof of another entry", want: ReasonNotLogged,
		edits: pack(func(_ *world, q *Request) { q.RequestProof = q.WarrantProof })},
	{name: "R2 unwitnessed", want: ReasonNotLogged,
		edits: pack(func(w *world, q *Request) { q.WarrantProof = w.log.proof(1, w.log.checkpoint(w.now, 0)) })},
	{name: "R2 one witness", want: ReasonNotLogged,
		edits: pack(func(w *world, q *Request) { q.RequestProof = w.log.proof(2, w.log.checkpoint(w.now, 1)) })},
	{name: "R2 forked log", want: ReasonNotLogged,
		edits: pack(func(w *world, q *Request) {
			fork := newTestLog(w.t)
			for _, e := range w.log.entries {
				fork.add(append([]byte{0}, e...))
			}
			q.WarrantProof = w.log.proof(1, fork.checkpoint(w.now, 2))
		})},
	{name: "R2 warrant proof stale", want: ReasonStale,
		edits: pack(func(w *world, q *Request) {
			q.WarrantProof = w.log.reproof(q.WarrantProof, w.now.Add(-601*time.Second))
		})},
	{name: "R2 request proof stale", want: ReasonStale,
		edits: pack(func(w *world, q *Request) {
			q.RequestProof = w.log.reproof(q.RequestProof, w.now.Add(-601*time.Second))
		})},
	{name: "R36 my clock is behind the checkpoint", want: ReasonStale,
		edits:  facts(func(_ *world, f *Facts) { f.Now = f.Now.Add(-61 * time.Second) }),
		before: func(w *world) { w.now = w.now.Add(time.Hour) }}, // so that the charter is in force

	{name: "R2 my copy is behind", want: ReasonLedger,
		edits: facts(func(w *world, f *Facts) { f.View = view(w.copyOf(0)) })},
	{name: "R2 my copy lacks the request", want: ReasonLedger,
		edits: facts(func(w *world, f *Facts) { f.View = view(w.copyOf(0, 1)) })},
	{name: "R14 my copy has another order", want: ReasonLedger, before: func(w *world) { w.logged() },
		edits: facts(func(w *world, f *Facts) { f.View = view(w.copyOf(0, 3, 2, 1, 4)) })},
	{name: "docket did not sign the warrant entry", want: ReasonLedger,
		edits: pack(func(w *world, q *Request) {
			e := *must(ledger.ParseEntry(q.WarrantEntry)).Warrant
			e.Signature[0] ^= 1
			q.WarrantEntry = e.Entry()
			q.WarrantProof = w.proofOf(q.WarrantEntry)
			q.RequestProof = w.proof(2)
		})},

	{name: "request for another warrant entry", want: ReasonRequest, before: func(w *world) { w.logged() },
		edits: func(w *world) edits {
			return edits{request: func(r *ledger.Request) { r.WarrantIndex, r.Warrant = 1, ledger.HashEntry(w.log.entries[1]) }}
		}},

	{name: "R15 commitment with another salt", want: ReasonEntry,
		edits: pack(func(_ *world, q *Request) { q.WarrantSalt[0] ^= 1 })},
	{name: "entry under the next charter", want: ReasonEntry,
		before: func(w *world) { w.counted(ledger.CharterEntry(w.Sign(amended(w)))) },
		edits: func(w *world) edits {
			return edits{entry: func(e *ledger.Warrant) { e.Charter = amended(w).Hash() }}
		}},
	{name: "entry of another case type", want: ReasonEntry, edits: entry(func(e *ledger.Warrant) { e.CaseType = "missing-person" })},
	{name: "entry with more offices", want: ReasonEntry, edits: entry(func(e *ledger.Warrant) { e.Offices = append(e.Offices, "publication") })},
	{name: "entry of a shorter window", want: ReasonEntry, edits: entry(func(e *ledger.Warrant) { e.Window-- })},
	{name: "entry begins earlier", want: ReasonEntry, edits: entry(func(e *ledger.Warrant) { e.NotBefore-- })},
	{name: "entry ends earlier", want: ReasonEntry, edits: entry(func(e *ledger.Warrant) { e.NotAfter-- })},
	{name: "entry counted as a test", want: ReasonEntry, edits: entry(func(e *ledger.Warrant) { e.Flags = warrant.IsTest })},

	{name: "R19 life not begun", want: ReasonLife,
		edits: order(func(_ *world, o *warrant.Warrant) { o.NotBefore++ })},
	{name: "R19 life over", want: ReasonLife,
		edits: order(func(w *world, o *warrant.Warrant) { o.NotBefore, o.NotAfter = o.NotBefore-day, o.NotBefore })},
	{name: "R39 charter is due for review", want: ReasonReview,
		law:   func(c *charter.Charter) { c.Review = uint64(chartertest.Now.Unix()) },
		edits: order(func(_ *world, o *warrant.Warrant) { o.NotBefore-- })},
	{name: "cancelled", want: ReasonCancelled, after: func(w *world) { w.counted(w.cancellation().Entry()) }},
	{name: "R18 refused in review", want: ReasonUnconfirmed, edits: urgent(0),
		after: func(w *world) { w.counted(w.review(ledger.ReviewRefused, "oversight").Entry()) }},
	{name: "R18 not confirmed when due", want: ReasonUnconfirmed, edits: urgent(24 * time.Hour)},
	{name: "R18 confirmed too late", want: ReasonUnconfirmed, edits: urgent(24*time.Hour + time.Second),
		after: func(w *world) { w.counted(w.review(ledger.ReviewConfirmed, "judicial", "oversight").Entry()) }},
	{name: "R22 error against it", want: ReasonError, after: func(w *world) { w.counted(w.mistake(ledger.BeyondScope).Entry()) }},
	{name: "R20 renewal of another person's warrant", want: ReasonRenewal, edits: renewal(func(old *warrant.Warrant) {
		old.Subject, old.SubjectAgain = "bob", "bob"
	}, nil)},
	{name: "R20 renewal without what it renews", want: ReasonRenewal, edits: renewal(nil, func(q *Request) { q.Renewed = nil })},
	{name: "R20 renewal with another warrant", want: ReasonRenewal, edits: renewal(nil, func(q *Request) { q.Renewed[0] ^= 1 })},
	{name: "R20 no renewal, and a warrant with it", want: ReasonRenewal,
		edits: pack(func(_ *world, q *Request) { q.Renewed = q.Warrant })},
	{name: "R20 renewal of what is not on the ledger", want: ReasonLedger,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Renews = [32]byte{1} })},
	{name: "R10 cap reached", want: ReasonCap, law: func(c *charter.Charter) { c.Limits.CapSubjects = 2 },
		before: func(w *world) { w.logged(); w.logged() }},

	{name: "notice with another salt", want: ReasonNotice,
		edits: pack(func(_ *world, q *Request) { q.NoticeSalt[0] ^= 1 })},
	{name: "R3 compartment not in the request entry", want: ReasonNotice,
		edits: pack(func(w *world, q *Request) {
			q.Compartments = append(q.Compartments, parcel(w.seal("alice", "c", 2))...)
		})},
	{name: "compartment of the request entry left out", want: ReasonNotice,
		edits: func(w *world) edits {
			return edits{request: func(r *ledger.Request) { r.Leaves = append(r.Leaves, [32]byte(slices.Repeat([]byte{0xff}, 32))) }}
		}},
	{name: "compartment twice", want: ReasonNotice,
		edits: pack(func(_ *world, q *Request) { q.Compartments = append(q.Compartments, q.Compartments[0]) })},
	{name: "no compartment", want: ReasonNotice,
		edits: pack(func(_ *world, q *Request) { q.Compartments = nil })},

	{name: "R16 told a round later than due", want: ReasonRound,
		edits: request(func(w *world, r *ledger.Request) { w.lock(r, r.Round+1, w.noticeSalt) })},
	{name: "R16 told a round before it is due", want: ReasonRound,
		edits: request(func(w *world, r *ledger.Request) { w.lock(r, r.Round-1, w.noticeSalt) })},
	{name: "R16 round says another than the timelock", want: ReasonRound,
		edits: request(func(w *world, r *ledger.Request) { due := r.Round; w.lock(r, due+1, w.noticeSalt); r.Round = due })},
	{name: "R16 timelock of another salt", want: ReasonRound,
		edits: request(func(w *world, r *ledger.Request) { w.lock(r, r.Round, [32]byte{1}) })},
	{name: "R16 timelock of junk", want: ReasonRound,
		edits: request(func(_ *world, r *ledger.Request) { r.Timelock = make([]byte, beacon.TimelockSize) })},
	{name: "R16 timelock with one bit changed", want: ReasonRound,
		edits: request(func(_ *world, r *ledger.Request) { r.Timelock[beacon.TimelockSize-1] ^= 1 })},
	{name: "R16 timelock to another beacon", want: ReasonRound,
		edits: request(func(w *world, r *ledger.Request) {
			r.Timelock = must(beacon.Lock(beacontest.New("another", 0, 60, 2, 2).Beacon().Key, r.Round, w.noticeSalt))
		})},
	{name: "R16 round comes after the longest delay", want: ReasonRound,
		law: func(c *charter.Charter) {
			c.Beacon = &beacon.Beacon{Key: c.Beacon.Key, Genesis: c.Beacon.Genesis + 1, Period: 60}
		},
		edits: order(func(w *world, o *warrant.Warrant) { o.NoticeDue = o.LatestNotice(w.Charter.Limits) })},

	{name: "capsule is junk", want: ReasonCapsule, parts: func(*world) []Compartment { return []Compartment{{Capsule: []byte("junk")}} }},
	{name: "capsule of fewer custodians", want: ReasonCapsule, parts: func(w *world) []Compartment {
		return []Compartment{{Capsule: forger.Capsule(w.seal("alice", "c", 1).capsule,
			func(_ *capsule.Label, _ *[]byte, s *[]capsule.Share) { *s = (*s)[:6] })}}
	}},
	{name: "no keys stated for the period", want: ReasonCapsule, // 60 days on, in the third period
		edits: order(func(w *world, o *warrant.Warrant) {
			o.WindowStart, o.WindowEnd = w.now.AddDate(0, 0, 58).Format(time.RFC3339), w.now.AddDate(0, 0, 62).Format(time.RFC3339)
		}),
		parts: part(func(l *capsule.Label) { l.Opened += 60 * 24 * 3600; l.Period += 2 })},

	{name: "R4 under another charter", want: ReasonScopeCharter, parts: part(func(l *capsule.Label) { l.Charter[0] ^= 1 })},
	{name: "R4 of another period", want: ReasonScopeCharter, parts: part(func(l *capsule.Label) { l.Period++ })},
	{name: "R3 opened before the window", want: ReasonScopeWindow,
		parts: func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1)) },
		edits: order(func(w *world, o *warrant.Warrant) {
			o.WindowStart = w.now.Add(time.Hour + time.Second).Format(time.RFC3339)
		})},
	{name: "R3 opened after the window", want: ReasonScopeWindow,
		parts: func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1)) },
		edits: order(func(w *world, o *warrant.Warrant) { o.WindowEnd = w.now.Add(time.Hour).Format(time.RFC3339) })},
	{name: "R3 opened beyond time", want: ReasonScopeWindow, parts: part(func(l *capsule.Label) { l.Opened += 1 << 60 })},
	{name: "R3 sent by another", want: ReasonScopeSubject,
		parts: func(w *world) []Compartment { return parcel(w.seal("bob", "c", 1)) }},
	{name: "R3 received without proof", want: ReasonScopeSubject,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Direction = warrant.SentAndReceived }),
		parts: func(w *world) []Compartment { return []Compartment{{Capsule: w.seal("bob", "c", 1).capsule.Bytes()}} }},
	{name: "R3 received with another's proof", want: ReasonScopeSubject,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Direction = warrant.SentAndReceived }),
		parts: func(w *world) []Compartment {
			return []Compartment{{w.seal("bob", "c", 1).capsule.Bytes(), must(directory.ProveRoster(roster, "bob"))}}
		}},
	{name: "R3 conversation not listed", want: ReasonScopeList,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Conversations = [][]byte{[]byte("c"), []byte("d")} }),
		parts: func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1), w.seal("alice", "e", 1)) }},
	{name: "R35 privileged, and the warrant is not", want: ReasonPrivilege, law: privilege,
		parts: part(func(l *capsule.Label) { l.Flags = capsule.Privileged })},
	{name: "R35 privileged under a law that knows no such thing", want: ReasonPrivilege,
		parts: part(func(l *capsule.Label) { l.Flags = capsule.Privileged })},
	{name: "R35 privileged, without the office that must agree", want: ReasonApprovals, law: privilege,
		edits: func(*world) edits {
			return edits{order: func(o *warrant.Warrant) { o.Flags = warrant.IsPrivileged },
				approve: func(x *ledger.Warrant) { x.Approvals = x.Approvals[1:] }}
		}},
	{name: "R4 an ordinary conversation's capsule called privileged", want: ReasonShare, law: privilege,
		edits: order(func(_ *world, o *warrant.Warrant) { o.Flags = warrant.IsPrivileged }),
		parts: part(func(l *capsule.Label) { l.Flags = capsule.Privileged })},
	{name: "test that reaches a person", want: ReasonScopeTest,
		edits: order(func(_ *world, o *warrant.Warrant) {
			o.Flags, o.Direction, o.Subject, o.SubjectAgain = warrant.IsTest, warrant.SentAndReceived, "test.alice", "test.alice"
		}),
		parts: func(w *world) []Compartment {
			members := []string{"bob", "test.alice"}
			b := relabel(w.seal("bob", "c", 1), func(l *capsule.Label) { l.Roster = directory.RosterRoot(members) })
			return []Compartment{{b, must(directory.ProveRoster(members, "test.alice"))}}
		}},

	{name: "R8 horizon passed", want: ReasonHorizon, law: func(c *charter.Charter) { c.Limits.Horizon = day },
		before: func(w *world) { w.now = w.now.AddDate(0, 0, 60) },
		edits: order(func(w *world, o *warrant.Warrant) {
			o.WindowStart, o.WindowEnd = chartertest.Now.Format(time.RFC3339), chartertest.Now.AddDate(0, 0, 9).Format(time.RFC3339)
		}),
		parts: func(w *world) []Compartment {
			w.now = chartertest.Now
			defer func() { w.now = w.now.AddDate(0, 0, 60) }()
			return parcel(w.seal("alice", "c", 1))
		}},
	{name: "R8 I destroyed the key", want: ReasonHorizon, before: func(w *world) {
		d := &ledger.Destruction{Office: "judicial", Custodian: "judicial-1", Period: w.access.Period(), CharterName: w.Charter.Name}
		d.Sign(w.signing("judicial-1"))
		w.counted(d.Entry())
	}},
	{name: "R28 a hold that would have ended", want: ReasonAction, law: func(c *charter.Charter) { c.Limits.MaxHold = 3600 },
		edits: order(func(w *world, o *warrant.Warrant) {
			o.Action, o.NotBefore = warrant.Preserve, o.NotBefore-3600
		})},
	{name: "I have no key", want: ReasonKey,
		edits: facts(func(w *world, f *Facts) { f.Keys.Forget(w.access.Period()) })},
	{name: "I have another key", want: ReasonKey,
		edits: facts(func(w *world, f *Facts) { f.Keys.Add(w.access.Period(), must(NewCustodianKey(charter.XWing))) })},
	{name: "I stand outside the structure", want: ReasonKey, law: func(c *charter.Charter) {
		judges := c.Structure.Children[0]
		judges.Children = judges.Children[1:]
	}},

	{name: "R4 moved to another conversation", want: ReasonShare, parts: part(func(l *capsule.Label) { l.Conversation = []byte("d") })},
	{name: "R4 moved to another epoch", want: ReasonShare, parts: part(func(l *capsule.Label) { l.Epoch++ })},
	{name: "R4 moved to another leaf", want: ReasonShare, parts: part(func(l *capsule.Label) { l.Leaf++ })},
	{name: "R4 moved to another device", want: ReasonShare, parts: part(func(l *capsule.Label) { l.Device = "laptop" })},
	{name: "R4 moved to another second", want: ReasonShare, parts: part(func(l *capsule.Label) { l.Opened++ })},
	{name: "R4 moved to another roster", want: ReasonShare, parts: part(func(l *capsule.Label) { l.Roster[0] ^= 1 })},
	{name: "R4 moved to another sender", want: ReasonShare, parts: func(w *world) []Compartment {
		return []Compartment{{Capsule: relabel(w.seal("bob", "c", 1), func(l *capsule.Label) { l.Account = "alice" })}}
	}},
	{name: "share other than its commitment", want: ReasonShare, parts: func(w *world) []Compartment {
		c := w.seal("alice", "c", 1)
		return []Compartment{{Capsule: forger.Capsule(c.capsule, func(l *capsule.Label, _ *[]byte, s *[]capsule.Share) {
			(*s)[0] = w.sealShare(l, 0, (*s)[0].Commitment, make([]byte, capsule.ShareSize))
		})}}
	}},
}

// amended is the next version of the charter, which changes nothing else.
func amended(w *world) *charter.Charter {
	next := *w.Charter
	next.Number, next.Previous = 2, w.Charter.Hash()
	return &next
}

// logged publishes a warrant entry beside the one at issue.
func (w *world) logged() {
	w.file(w.order(), parcel(w.seal("alice", "x", 1)), edits{request: func(r *ledger.Request) { r.WarrantIndex = 1 << 40 }})
}

// copyOf is a copy of the log's first entries in the order of the indexes
// given.
func (w *world) copyOf(indexes ...int) *ledger.Book {
	b := ledger.NewBook(w.Charter.Hash())
	for i, at := range indexes {
		if err := b.Apply(uint64(i), w.log.entries[at], w.now); err != nil {
			w.t.Fatal(err)
		}
	}
	return b
}

// proofOf publishes an entry and proves it.
func (w *world) proofOf(entry []byte) []byte { return w.proof(w.publish(entry)) }

// sealShare seals a share to a custodian as a cheating sender would.
func (w *world) sealShare(l *capsule.Label, leaf int, commitment [32]byte, share []byte) capsule.Share {
	ctx := capsule.Context(l, w.access)
	to := w.access.Leaves()[leaf]
	public := must(must(hpke.NewKEM(uint16(to.KEM))).NewPublicKey(to.PublicKey))
	enc, s, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ctx[:])
	if err != nil {
		w.t.Fatal(err)
	}
	return capsule.Share{Commitment: commitment, Enc: enc, Ciphertext: must(s.Seal(commitment[:], share))}
}
