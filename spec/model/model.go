// Package model is the release protocol of spec/release.md as a state space: a
// docket, a log, custodians and an examiner, every step they can take, and a
// search of every state that the steps lead to. Properties are checked in each.
// The model imports nothing of Writ: it is read beside the specification, and
// the code beside it.
//
// # Terms
//
// A world says who there is: custodians of two offices, warrants, requests, the
// cap, the ticks of a warrant's life, and who lies. A state is all that changes.
// A step is atomic: between any two a custodian can crash, time can pass, and
// anybody else can do anything. A guard is a check or an order of work that the
// protocol demands; a world can lack it. A trace is the shortest way to a state.
//
// # What the adversary may do
//
// It holds the network, the notary and the examiner: it asks for any request,
// any number of times, in any order, also at once; it delays, repeats and
// withholds intents; it shows each custodian any checkpoint that is fresh, and
// offers old ones. In a world with Lies docket and notary log what they
// like: requests before their warrants, warrants that nobody approved, an entry
// twice. In a Rogue world one custodian gives its shares away. In a Salted world
// the docket logs one warrant as two entries.
//
// # Properties
//
//	Logged       a share is handed out only for a warrant and a request that count on the log (R2)
//	Intended     and only after its custodian's intent counts on the log (R2, REL-33)
//	Approved     and only under a warrant that both offices approved
//	Place        what nobody approved moves no approved warrant back under the cap (R10)
//	Cap          no share is handed out, nothing opens, beyond the cap (R10)
//	OneIntent    one custodian signs one intent for one request, and one counts (LED-57)
//	SameRelease  one request, asked again after whatever happened, gives one release (REL-33)
//	Objection    an objection accepted before the intent is final (R33, REL-21)
//	Stopped      no custodian lets a request pass on a copy that shows that its warrant was stopped; and
//	             no share is handed out whose intent stands after that (Intended, REL-16, LED-74)
//	Offices      nothing opens without a share of each office (R1)
//	Fresh        nothing is decided or released under a checkpoint that is old (R36, REL-35)
//	Alive        nor after the warrant's life (REL-35)
//	Progress     while a warrant lives, has its place, and a custodian in each office is willing or
//	             bound by what it decided, its request can still be opened, whatever crashed (REL-22)
//
// Progress is reachability: a way leads there, if the notary wants to. It is not asked
// for with Lies: who lies can fill the log.
//
// # The model and the code
//
//	step      code
//	logs      docket.RequestRelease, docket.Publish; notary.Server.Add
//	apply     ledger.Book.Apply: which entries count
//	views     replica.Refresh, follower.Checkpoint: which checkpoints are worked with
//	ticks     the clock: a tick is the charter's freshness
//	checks    custodian: handler.Release, hold, answer; decide up to objected; unseal.Authorize
//	objected  custodian: Server.objected and refuse
//	decides   custodian: decide from Intent.Sign to records.Apply
//	sends     replica.Add: follower.Add
//	proves    replica.Add: find, await, Prove
//	makes     unseal.NewRelease
//	keeps     custodian: carryOut, its records.Apply
//	answers   custodian: granted, after carryOut
//	repeats   custodian: answer, where decision finds a release
//	objects   custodian: desk.Object
//	crashes   a kill; then custodian.Open, which brings back Decision, Objected and Met
//	fails     the end of a call's context, or any error
//	opens     examine, unseal.Combiner.Combine
//
// Each [Guard] names its requirement. Where guards stand in for one another the
// tests say so.
//
// # What it does not show
//
// A custodian's copy of the log is not in the state: each look shows any fresh
// checkpoint, also a smaller one than before, which is more than the
// adversary can do. There is one log: that no two histories are shown is the
// witnesses' work (LED-41, LED-42). Cryptography holds, clocks agree and go
// forward, a write is on the disk whole or not at all, no disk is set back. The
// charter stays in force. The checks of a package's content, codes 1 to 9, 14, 15, 17,
// 19 to 28, 33 to 36, and the time in code 31, are functions of the package and not of what happens, and refusals
// on the log bind nobody: both are left out.
//
// # Example
//
//	g := Search(w, func(w *World, s *State) bool { return !broken(w, s) })
//	fmt.Println(g.Size(), g.Trace(g.Last()))
package model

// Guard is a set of checks and orders of work, each of which the protocol
// needs. A world in which one is removed is the protocol without it.
type Guard uint32

// Codes are the reasons of spec/release.md.
const (
	Approvals    Guard = 1 << iota // code 10: both offices approved
	Proof                          // code 11: warrant and request are proven to be on the log
	FreshLook                      // code 12, REL-3: the ledger is looked at under a fresh checkpoint only
	OwnCopy                        // code 13: the custodian's own book counts both
	LifeAtCheck                    // code 16
	Cap                            // code 18: the rank of the warrant is within the cap
	Objection                      // code 29: no objection to the warrant entry
	SameWarrant                    // REL-21: nor to another entry of the same warrant, once a request met it
	Bound                          // REL-22: a decided intent is carried out, whatever is objected to later
	Turn                           // REL-31: one decision at a time, no objection meanwhile
	Hold                           // REL-31: one call at a time works on a request
	LookUp                         // REL-33: what was released before is the answer
	WriteFirst                     // REL-30: the decision is durable before the intent leaves
	Insert                         // the decision is written only where no other stands
	SameIntent                     // REL-33: signing the intent again gives the same bytes
	Used                           // REL-21: no objection once an intent is decided
	IntentProof                    // REL-30, REL-35: the own intent is proven
	FreshRelease                   // REL-35: that proof is fresh at the release
	LifeRelease                    // REL-35: the warrant lives at the release
	KeepFirst                      // REL-33: the release is durable before it is handed out
	Vouched                        // LED-63: a warrant entry without its approvals does not count
	Counted                        // LED-56, LED-57: what names nothing that counts does not count
	Once                           // LED-57: at most one intent per custodian and request
	Stopped                        // LED-74: after what stops its warrant no request and no intent counts
	Standing                       // codes 30 to 32: nothing that stops the warrant is in my book
	Offices                        // the access structure: shares of every office
	guards       = iota
)

// Bounds of every world; arrays are this long whatever a world uses of them.
const (
	maxWarrants   = 2
	maxRequests   = 2
	maxCustodians = 3
	maxLog        = 8
)

// World is what stays the same through a search.
type World struct {
	Name     string
	Offices  []int  // of each custodian
	Requests []int  // the warrant of each request
	Approved []bool // of each warrant: by both offices
	Salted   bool   // the warrant entries are of one warrant, logged with different salts
	Cap      int    // warrants
	Life     uint8  // ticks until every warrant ends; 0 means that no tick comes
	Objects  bool   // operators may object
	Stops    bool   // an office may stop a warrant: cancel it, refuse it in review, call it an error
	Rogue    bool   // the last custodian gives away its shares as it likes
	Lies     int    // 0, or docket and notary log what they like, up to so many entries
	Removed  Guard
}

func (w *World) has(g Guard) bool { return w.Removed&g == 0 }

// order returns which warrant an entry is of, as only who has its salt can tell.
func (w *World) order(x int) int {
	if w.Salted {
		return 0
	}
	return x
}

func (w *World) alive(s *State) bool { return w.Life == 0 || s.Now < w.Life }

// rogue reports whether custodian c does not keep to the protocol.
func (w *World) rogue(c int) bool { return w.Rogue && c == len(w.Offices)-1 }

// State is all that changes. It is comparable: a search knows it again.
type State struct {
	Log        [maxLog]Entry // append-only: the witnesses see to that
	Len        uint8
	Floor      uint8  // length of the log at the last tick: a fresh checkpoint has at least this size
	Now        uint8  // ticks; a checkpoint is fresh until the next one
	Sent       uint16 // signed intents that left their custodian: the notary may log one whenever it likes
	Opened     uint8  // requests that the examiner opened
	Seen       Seen   // what once happened
	Custodians [maxCustodians]Custodian
}

// Seen remembers what must never happen, as the step saw it that did it.
type Seen uint8

const (
	Stale    Seen = 1 << iota // decided or released on a checkpoint that was not fresh
	Late                      // decided or released when the warrant's life was over
	Ignored                   // decided though an objection to the same warrant was met
	Heedless                  // every check held on a copy of the log on which the warrant was stopped
)

// Custodian is one custodian. A crash keeps all but the calls.
type Custodian struct {
	Objected uint8                 // durable: warrant entries
	Met      uint8                 // durable: warrants of which a request met an objection
	Decision [maxRequests]Decision // durable
	Nonce    [maxRequests]uint8    // durable: which intent was signed; always 0 with SameIntent
	Call     [maxRequests][2]Phase // volatile: the calls that work on a request; one with Hold
	Given    [maxRequests]uint8    // different releases that the examiner got, up to 2
}

// Decision is a record about a request.
type Decision uint8

const (
	Undecided Decision = iota
	Pending            // it will release; its intent may be sent
	Kept               // the release is on the disk, nobody has it
	Given              // the release is on the disk, and was handed out
)

// Phase is how far a call is.
type Phase uint8

const (
	Idle    Phase = iota
	Checked       // every check holds; the decision's turn is held
	Decided       // the decision is written down; the intent may be sent
	Proven        // it has its intent's proof under a fresh checkpoint
	Aged          // that checkpoint is fresh no more
	Made          // the shares are opened and sealed to the reader
	Stored        // the release is on the disk
)

// deciding reports whether a call of the custodian has the decision's turn.
func (c *Custodian) deciding() bool {
	for _, calls := range c.Call {
		if calls[0] == Checked || calls[1] == Checked {
			return true
		}
	}
	return false
}

// give hands out a release that nobody had before.
func (c *Custodian) give(r int) { c.Given[r] = min(c.Given[r]+1, 2) }

func intentBit(c, r int, nonce uint8) uint16 { return 1 << ((r*maxCustodians+c)*2 + int(nonce)) }
