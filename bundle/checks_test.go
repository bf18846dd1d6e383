package bundle

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/ledger"
	"writ/mls"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// trial is a world in which one thing is wrong.
type trial struct {
	*world
	conv *conversation
	part Compartment
	bob  Compartment
}

func newCase(t testing.TB) *trial {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	return &trial{w, c, c.say("alice", "Noon?", "The usual place."), c.say("bob", "Yes.")}
}

// both is a warrant on what alice received, too.
func both(o *warrant.Warrant) { o.Direction = warrant.SentAndReceived }

// entry changes the warrant's public entry, and the docket signs that.
func (w *world) entry(change func(*ledger.Warrant)) edits {
	return edits{entry: func(x *ledger.Warrant) { change(x); x.Sign(ledger.DocketSigner(w.Docket)) }}
}

func (w *world) request(change func(*ledger.Request)) edits {
	return edits{request: func(x *ledger.Request) { change(x); x.Sign(ledger.DocketSigner(w.Docket)) }}
}

func (w *world) intent(change func(*ledger.Release)) edits {
	return edits{release: func(x *ledger.Release) { change(x); x.Sign(ledger.CustodianSigner(w.Custodians[x.Custodian])) }}
}

// reseal seals the same secrets under another label.
func (c *trial) reseal(part Compartment, change func(*capsule.Label)) Compartment {
	l := *must(capsule.Parse(part.Capsule)).Label()
	change(&l)
	sealer := must(capsule.NewSealer(must(c.Charter.Access(l.Period, nil))))
	part.Capsule = must(sealer.Seal(&l, part.Ratchet, part.SenderData)).Bytes()
	c.state(&part)
	return part
}

// marked puts an extension of the mark into the group context, as delivery tells it.
func (c *trial) marked(part Compartment, data ...byte) Compartment {
	g := must(mls.ParseGroupContext(part.GroupContext))
	g.Extensions = append(g.Extensions, mls.Extension{Type: capsule.PrivilegedExtension, Data: data})
	part.GroupContext = g.Bytes()
	c.state(&part)
	return part
}

// Every check, by a bundle in which it alone fails. Remove a check and its row
// fails.
func TestEveryCheck(t *testing.T) {
	for _, row := range []struct {
		check, why string
		make       func(c *trial) Contents
	}{
		{checkCharter, "there is none", func(c *trial) Contents { x := c.open(edits{}, c.part); x.Charters = nil; return x }},
		{checkCharter, "without its predecessor", func(c *trial) Contents {
			c.amend()
			x := c.open(edits{}, c.part)
			x.Charters = x.Charters[1:]
			return x
		}},
		{checkCharter, "no quorum", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Charters[0] = c.log.proven(c.laws[0], c.now, 1)
			return x
		}},
		{checkCharter, "not in the order of the log", func(c *trial) Contents {
			c.amend()
			c.laws[0] = c.log.add(c.log.entries[c.laws[0]]) // the first version again, later
			return c.open(edits{}, c.part)
		}},
		{checkCharter, "is a warrant, not a charter", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Charters = append(x.Charters, x.WarrantEntry)
			return x
		}},
		{checkKeys, "it is for charter", func(c *trial) Contents {
			k := c.Statement("judicial", "judicial-1", 900)
			k.CharterName = "another"
			k.Sign(c.Custodians["judicial-1"])
			c.keys = []uint64{c.log.add(ledger.CustodianKeyEntry(k))}
			return c.open(edits{}, c.part)
		}},
		{checkKeys, "not in the order of the log", func(c *trial) Contents {
			for period := uint32(901); period > 899; period-- {
				c.keys = append(c.keys, c.log.add(ledger.CustodianKeyEntry(c.Statement("judicial", "judicial-1", period))))
			}
			slices.Reverse(c.keys)
			return c.open(edits{}, c.part)
		}},
		{checkWarrant, "malformed", func(c *trial) Contents { x := c.open(edits{}, c.part); x.Warrant = append(x.Warrant, 0); return x }},
		{checkWarrant, "no quorum", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.WarrantEntry = c.log.proven(must(c.policy.Include(x.WarrantEntry.Entry, x.WarrantEntry.Proof, c.now, 0)).Index(), c.now, 1)
			return x
		}},
		{checkWarrant, "is a request, not a warrant", func(c *trial) Contents { x := c.open(edits{}, c.part); x.WarrantEntry = x.RequestEntry; return x }},
		{checkWarrant, "not signed by the charter's docket", func(c *trial) Contents {
			return c.open(edits{entry: func(x *ledger.Warrant) { x.Sign(ledger.DocketSigner(c.Delivery)) }}, c.part)
		}},
		{checkWarrant, "differ in their commitment", func(c *trial) Contents { x := c.open(edits{}, c.part); x.WarrantSalt[0]++; return x }},
		{checkWarrant, "differ in their charter", func(c *trial) Contents {
			return c.open(c.entry(func(x *ledger.Warrant) { x.Charter[0]++ }), c.part)
		}},
		{checkWarrant, "differ in their case type", func(c *trial) Contents {
			return c.open(c.entry(func(x *ledger.Warrant) { x.CaseType = "missing-person" }), c.part)
		}},
		{checkWarrant, "differ in their offices", func(c *trial) Contents {
			return c.open(c.entry(func(x *ledger.Warrant) { x.Offices = x.Offices[:1] }), c.part)
		}},
		{checkWarrant, "differ in their window", func(c *trial) Contents { return c.open(c.entry(func(x *ledger.Warrant) { x.Window-- }), c.part) }},
		{checkWarrant, "differ in their begin", func(c *trial) Contents { return c.open(c.entry(func(x *ledger.Warrant) { x.NotBefore-- }), c.part) }},
		{checkWarrant, "differ in their end", func(c *trial) Contents { return c.open(c.entry(func(x *ledger.Warrant) { x.NotAfter++ }), c.part) }},
		{checkWarrant, "differ in their flags", func(c *trial) Contents { return c.open(c.entry(func(x *ledger.Warrant) { x.Flags = 2 }), c.part) }},
		{checkRequest, "no quorum", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.RequestEntry = c.log.proven(must(c.policy.Include(x.RequestEntry.Entry, x.RequestEntry.Proof, c.now, 0)).Index(), c.now, 1)
			return x
		}},
		{checkRequest, "not signed by the charter's docket", func(c *trial) Contents {
			return c.open(edits{request: func(x *ledger.Request) { x.Sign(ledger.DocketSigner(c.Delivery)) }}, c.part)
		}},
		{checkRequest, "for another warrant", func(c *trial) Contents {
			return c.open(c.request(func(x *ledger.Request) { x.WarrantIndex-- }), c.part)
		}},
		{checkRequest, "for another warrant", func(c *trial) Contents { return c.open(c.request(func(x *ledger.Request) { x.Warrant[0]++ }), c.part) }},
		{checkRequest, "is due", func(c *trial) Contents { return c.open(c.request(func(x *ledger.Request) { x.Round++ }), c.part) }},
		{checkRequest, "not the timelock", func(c *trial) Contents {
			return c.open(c.request(func(x *ledger.Request) { x.Timelock[0] ^= 1 }), c.part)
		}},
		{checkRequest, "not the 1 of the request", func(c *trial) Contents { x := c.open(edits{}, c.part); x.NoticeSalt[0]++; return x }},
		{checkRequest, "the 1 compartments here are not the 2", func(c *trial) Contents {
			x := c.open(edits{order: both}, c.part, c.bob)
			x.Compartments = x.Compartments[:1]
			return x
		}},
		{checkRequest, "the 2 compartments here are not the 1", func(c *trial) Contents {
			x := c.open(edits{order: both}, c.part)
			x.Compartments = append(x.Compartments, c.bob)
			return x
		}},
		{checkRequest, "the 2 compartments here are not the 1", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Compartments = append(x.Compartments, x.Compartments[0])
			return x
		}},
		{checkReleases, "no quorum", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Releases[1] = c.log.proven(must(c.policy.Include(x.Releases[1].Entry, x.Releases[1].Proof, c.now, 0)).Index(), c.now, 1)
			return x
		}},
		{checkReleases, "no custodian released anything", func(c *trial) Contents { x := c.open(edits{}, c.part); x.Releases = nil; return x }},
		{checkReleases, "not enough by the charter", func(c *trial) Contents { return c.open(edits{releases: []string{"judicial-1", "judicial-2"}}, c.part) }},
		{checkReleases, "not signed by a custodian", func(c *trial) Contents {
			return c.open(edits{release: func(x *ledger.Release) { x.Sign(ledger.CustodianSigner(c.Docket)) }}, c.part)
		}},
		{checkReleases, "not signed by a custodian", func(c *trial) Contents {
			return c.open(c.intent(func(x *ledger.Release) { x.Office = "oversight" }), c.part)
		}},
		{checkReleases, "stands here twice", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Releases = append(x.Releases, x.Releases[0])
			return x
		}},
		{checkReleases, "released for another request", func(c *trial) Contents {
			return c.open(c.intent(func(x *ledger.Release) { x.Request[0]++ }), c.part)
		}},
		{checkReleases, "released for another request", func(c *trial) Contents {
			return c.open(c.intent(func(x *ledger.Release) { x.RequestIndex-- }), c.part)
		}},
		{checkReleases, "released for another request", func(c *trial) Contents {
			x, y := c.open(edits{}, c.part), c.open(edits{order: both}, c.bob)
			x.Releases[0] = y.Releases[0]
			return x
		}},
		{checkReleases, "other compartments than those requested", func(c *trial) Contents {
			return c.open(c.intent(func(x *ledger.Release) { x.Count++ }), c.part)
		}},
		{checkReleases, "other compartments than those requested", func(c *trial) Contents {
			return c.open(c.intent(func(x *ledger.Release) { x.Root[0]++ }), c.part)
		}},
		{checkApprovals, "does not verify", func(c *trial) Contents {
			return c.open(edits{entry: func(x *ledger.Warrant) {
				other := x.Public
				other.Commitment[0] ^= 1
				x.Approvals = warranttest.Approvals(c.World, other)
				x.Sign(ledger.DocketSigner(c.Docket))
			}}, c.part)
		}},
		{checkApprovals, "missing from oversight", func(c *trial) Contents { return c.open(edits{approve: []string{"judicial"}}, c.part) }},
		{checkApprovals, "its life begins", func(c *trial) Contents { return c.open(edits{loggedAt: c.now.Add(-time.Second)}, c.part) }},
		{checkApprovals, "its life ended", func(c *trial) Contents { return c.open(edits{loggedAt: c.now.AddDate(0, 0, 20)}, c.part) }},
		{checkApprovals, "its life ended", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Releases[1] = c.log.proven(must(c.policy.Include(x.Releases[1].Entry, x.Releases[1].Proof, c.now, 0)).Index(), c.now.AddDate(0, 0, 20), 2)
			return x
		}},
		{checkApprovals, "case type", func(c *trial) Contents {
			return c.open(edits{order: func(o *warrant.Warrant) { o.CaseType = "curiosity" }}, c.part)
		}},
		{checkScope, "is not the warrant's subject", func(c *trial) Contents {
			x := c.open(edits{}, c.bob)
			return x
		}},
		{checkScope, "not proven in the roster", func(c *trial) Contents {
			x := c.open(edits{order: both}, c.part, c.bob)
			x.Compartments[1].RosterProof = must(directory.ProveRoster([]string{"alice", "bob", "carol"}, "alice"))
			return x
		}},
		{checkScope, "not proven in the roster", func(c *trial) Contents {
			x := c.open(edits{order: both}, c.part, c.bob)
			x.Compartments[1].RosterProof = must(directory.ProveRoster([]string{"alice", "bob"}, "bob"))
			return x
		}},
		{checkScope, "a roster proof where none belongs", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Compartments[0].RosterProof = c.bob.RosterProof
			return x
		}},
		{checkWarrant, "something else than to disclose", func(c *trial) Contents {
			return c.open(edits{order: func(o *warrant.Warrant) { o.Action = warrant.Preserve }}, c.part)
		}},
		{checkScope, "does not name conversation", func(c *trial) Contents {
			return c.open(edits{order: func(o *warrant.Warrant) { o.Conversations = [][]byte{[]byte("another")} }}, c.part)
		}},
		{checkScope, "outside the warrant's window", func(c *trial) Contents {
			return c.open(edits{order: func(o *warrant.Warrant) { o.WindowEnd = c.now.Format(time.RFC3339) }}, c.part)
		}},
		{checkScope, "outside the warrant's window", func(c *trial) Contents {
			return c.open(edits{order: func(o *warrant.Warrant) { o.WindowStart = c.now.Add(time.Second).Format(time.RFC3339) }}, c.part)
		}},
		{checkScope, "is not a test account", func(c *trial) Contents {
			return c.open(edits{order: func(o *warrant.Warrant) {
				both(o)
				o.Flags, o.Subject, o.SubjectAgain = warrant.IsTest, "test.carol", "test.carol"
			}}, c.part)
		}},
		{checkSenders, "privileged otherwise", func(c *trial) Contents { return c.open(edits{}, c.marked(c.part)) }},
		{checkSenders, "holds 1 bytes", func(c *trial) Contents { return c.open(edits{}, c.marked(c.part, 7)) }},
		{checkScope, "is privileged", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Flags = capsule.Privileged }))
		}},
		{checkScope, "is not that of its opening", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Period++ }))
		}},
		{checkScope, "it is sealed under charter", func(c *trial) Contents {
			law, other := c.Charter.Hash(), charter.Hash{1}
			part := c.part
			part.Capsule = bytes.Replace(part.Capsule, law[:], other[:], 1)
			return c.open(edits{}, part)
		}},
		{checkScope, "case type theft is not the charter's", func(c *trial) Contents {
			c.amend(func(next *charter.Charter) { next.CaseTypes = []string{"missing-person", "serious-crime", "theft"} })
			return c.open(edits{order: func(o *warrant.Warrant) { o.CaseType = "theft" }}, c.part)
		}},
		{checkCapsules, "malformed", func(c *trial) Contents {
			part := c.part
			part.Capsule = append(slices.Clone(part.Capsule), 0)
			x := c.openAs(part, c.part)
			return x
		}},
		{checkCapsules, "the body differs", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Compartments[0].Ratchet = bytes.Repeat([]byte{1}, 32)
			return x
		}},
		{checkCapsules, "the body differs", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Compartments[0].SenderData = bytes.Repeat([]byte{1}, 32)
			return x
		}},
		{checkCapsules, "secrets of 32 and 0 bytes", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Compartments[0].SenderData = nil
			return x
		}},
		{checkCapsules, "of another charter, key period or structure", func(c *trial) Contents {
			part := c.part
			part.Ratchet, part.SenderData = nil, nil
			part.Capsule = otherStructure(part.Capsule)
			c.state(&part)
			return c.open(edits{}, part)
		}},
		{checkSenders, "another conversation, epoch or cipher suite", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Epoch++ }))
		}},
		{checkSenders, "another conversation, epoch or cipher suite", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Conversation = []byte("another") }))
		}},
		{checkSenders, "another conversation, epoch or cipher suite", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Suite++ }))
		}},
		{checkSenders, "leaf proof", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Leaf = 1 }))
		}},
		{checkSenders, "leaf proof", func(c *trial) Contents {
			x := c.open(edits{}, c.part)
			x.Compartments[0].LeafProof = c.bob.LeafProof
			return x
		}},
		{checkSenders, "leaf 0 is not alice/tablet", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Device = "tablet" }))
		}},
		{checkSenders, "leaf 1 is not alice/phone", func(c *trial) Contents {
			return c.open(edits{}, c.reseal(c.bob, func(l *capsule.Label) { l.Account = "alice" }))
		}},
		{checkSenders, "not under the charter of the capsule", func(c *trial) Contents {
			c.amend()
			return c.open(edits{}, c.reseal(c.part, func(l *capsule.Label) { l.Charter = c.Charter.Hash() }))
		}},
		{checkMessages, "not in the order of sequence numbers", func(c *trial) Contents {
			part := c.part
			part.Messages = slices.Clone(part.Messages)
			slices.Reverse(part.Messages)
			c.state(&part)
			return c.open(edits{}, part)
		}},
		{checkMessages, "not in the order of sequence numbers", func(c *trial) Contents {
			part := c.part
			part.Messages = slices.Clone(part.Messages)
			part.Messages[1].Seq = part.Messages[0].Seq
			c.state(&part)
			return c.open(edits{}, part)
		}},
		{checkMessages, "set aside although it opens", func(c *trial) Contents {
			part := c.part
			part.Messages = slices.Clone(part.Messages)
			part.Messages[1].Aside = true
			return c.open(edits{}, part)
		}},
		{checkMessages, "it names another capsule", func(c *trial) Contents {
			m, _, err := c.conv.groups["alice"].Protect(make([]byte, 32), capsule.Content(2, []byte("under another")))
			part := c.part
			part.Messages = append(slices.Clone(part.Messages), c.receive(must(m, err)))
			c.state(&part)
			return c.open(edits{}, part)
		}},
		{checkStatements, "did not sign", func(c *trial) Contents {
			part := c.part
			part.Statement = bytes.Repeat([]byte{1}, 64)
			return c.open(edits{}, part)
		}},
		{checkStatements, "did not sign", func(c *trial) Contents {
			part := c.part
			part.Messages = slices.Clone(part.Messages)
			part.Messages[0].Received++
			return c.open(edits{}, part)
		}},
		{checkStatements, "did not sign", func(c *trial) Contents {
			part := c.part
			part.Messages = slices.Clone(part.Messages)
			part.Messages[1].Seq++
			return c.open(edits{}, part)
		}},
		{checkStatements, "did not sign", func(c *trial) Contents {
			return c.open(edits{}, func() Compartment { p := c.part; p.Statement = c.bob.Statement; return p }())
		}},
	} {
		t.Run(row.check+" "+row.why, func(t *testing.T) {
			t.Parallel()
			c := newCase(t)
			_, err := c.verify(row.make(c))
			var failed *CheckError
			if !errors.As(err, &failed) || failed.Check != row.check || !strings.Contains(err.Error(), row.why) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// openAs puts bytes in a capsule's place whose request was logged for them.
func (c *trial) openAs(part, good Compartment) Contents {
	x := c.open(c.request(func(r *ledger.Request) { r.Leaves = [][32]byte{leafOf(part.Capsule)} }), good)
	x.Compartments[0].Capsule = part.Capsule
	return x
}

func TestWrongPolicy(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	weak := must(ledger.ParsePolicy(w.log.weakPolicy()))
	var failed *CheckError
	if _, err := Verify(contents.encode(), weak); !errors.As(err, &failed) || failed.Check != checkPolicy {
		t.Errorf("a weaker policy: %v", err)
	}
	other := newTestLog()
	other.witnesses[0], other.witnesses[1] = keyOf("x"), keyOf("y")
	if _, err := Verify(contents.encode(), must(ledger.ParsePolicy(other.policyText()))); !errors.As(err, &failed) || failed.Check != checkCharter {
		t.Errorf("other witnesses: %v", err)
	}
}

// relog puts the entries of a case on a new log in another order, their
// indexes and signatures made right for it.
func (c *trial) relog(x Contents, order ...string) Contents {
	c.log.entries, c.log.hashes = nil, nil
	at := func(name string) uint64 { return uint64(slices.Index(order, name)) }
	request := must(ledger.ParseEntry(x.RequestEntry.Entry)).Request
	request.WarrantIndex = at("warrant")
	request.Sign(ledger.DocketSigner(c.Docket))
	release := func(i int) []byte {
		r := must(ledger.ParseEntry(x.Releases[i].Entry)).Release
		r.RequestIndex, r.Request = at("request"), ledger.HashEntry(request.Entry())
		r.Sign(ledger.CustodianSigner(c.Custodians[r.Custodian]))
		return r.Entry()
	}
	entries := map[string][]byte{"charter": x.Charters[0].Entry, "warrant": x.WarrantEntry.Entry, "request": request.Entry(),
		"release 1": release(0), "release 2": release(1)}
	for _, name := range order {
		c.log.add(entries[name])
	}
	prove := func(name string) Proven { return c.log.proven(at(name), c.now.Add(time.Hour), 2) }
	x.Charters, x.WarrantEntry, x.RequestEntry = []Proven{prove("charter")}, prove("warrant"), prove("request")
	x.Releases = []Proven{prove("release 1"), prove("release 2")}
	return x
}

// On the log, the warrant stands before the request and that before each
// release.
func TestOrderOnTheLog(t *testing.T) {
	c := newCase(t)
	x := c.open(edits{}, c.part)
	if _, err := c.verify(c.relog(x, "charter", "warrant", "request", "release 2", "release 1")); err != nil {
		t.Fatal(err)
	}
	wants(t, c.world, c.relog(x, "charter", "request", "warrant", "release 1", "release 2"), checkRequest)
	wants(t, c.world, c.relog(x, "charter", "warrant", "release 2", "request", "release 1"), checkReleases)
}

// A message under another capsule's hash is set aside and still counts among
// the sender's generations; a repeated generation is told.
func TestSetAsideAndRepeated(t *testing.T) {
	c := newCase(t)
	alice := c.conv.groups["alice"]
	say := func(ad []byte, text string) Message {
		m, _, err := alice.Protect(ad, capsule.Content(alice.Generation(), []byte(text)))
		return c.receive(must(m, err))
	}
	h := capsule.HashOf(c.part.Capsule)
	other, last := say(make([]byte, 32), "under another"), say(h[:], "last")
	again := last
	again.Seq++
	part := c.part
	part.Messages = append(slices.Clone(part.Messages), other, last, again)
	c.state(&part)
	r := must(Verify(built(c.open(edits{}, part), c.policy), c.policy))
	got := r.Compartments[0]
	if len(got.Gaps) != 0 || got.Messages[2].Aside == "" || *got.Messages[2].Generation != 2 || got.Messages[3].Repeated || !got.Messages[4].Repeated {
		t.Errorf("%s", r.JSON())
	}
	if r.Complete || len(r.Missing) != 1 || !strings.Contains(r.Text(), "Same place in the sender's count") {
		t.Errorf("%q\n%s", r.Missing, r.Text())
	}
}

// A sender who deposits a capsule sealed to nobody's keys is found out.
func TestForgedCapsule(t *testing.T) {
	c := newCase(t)
	part := c.part
	b := slices.Clone(part.Capsule)
	b[len(b)-1] ^= 1 // one custodian's share is noise
	part.Capsule = b
	c.state(&part)
	x := c.open(edits{}, part)
	_, err := c.verify(x)
	if !errors.Is(err, capsule.ErrInvalid) || !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// A capsule is right in itself with any secrets. One whose secrets are not the
// sender's, or not even of their size, spoils its own compartment only.
func TestSecretsThatOpenNothing(t *testing.T) {
	for _, size := range []int{32, 64} {
		c := newCase(t)
		alice := c.conv.groups["alice"]
		part := c.part
		part.Ratchet, part.SenderData = bytes.Repeat([]byte{1}, size), bytes.Repeat([]byte{2}, size)
		part = c.reseal(part, func(*capsule.Label) {})
		h := capsule.HashOf(part.Capsule)
		m, _, err := alice.Protect(h[:], capsule.Content(alice.Generation(), []byte("hidden")))
		part.Messages = []Message{c.receive(must(m, err))}
		c.state(&part)
		b, _, err := Build(c.open(edits{order: both}, part, c.bob), c.policy)
		if err != nil {
			t.Fatal(err)
		}
		r := must(Verify(b, c.policy))
		if r.Complete || r.Compartments[0].Messages[0].Aside == "" || *r.Compartments[1].Messages[0].Text != "Yes." {
			t.Errorf("%s", r.JSON())
		}
	}
}
