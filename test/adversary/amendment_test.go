package adversary

import (
	"bytes"
	"context"
	"crypto/hpke"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/client"
	"writ/custodian"
	"writ/delivery"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/replica"
	"writ/unseal"
)

// lasting lends delivery and devices a copy of the ledger that remembers since when each
// version stands there: nobody else can tell which one is in force.
type lasting struct{ *replica.Replica }

func (l lasting) Charter(h charter.Hash) (c *charter.Charter, ok bool) {
	l.View(func(b *ledger.Book) { c, ok = b.Charter(h) })
	return c, ok
}

func (l lasting) InForce(name string, now time.Time) (c *charter.Charter, ok bool) {
	l.View(func(b *ledger.Book) { c, ok = b.InForce(name, now) })
	return c, ok
}

func (l lasting) Versions(h charter.Hash) (list []*charter.Charter) {
	l.View(func(b *ledger.Book) { list = b.Versions(h) })
	return list
}

func (l lasting) Keys(name string, period uint32) (keys []*charter.KeyStatement) {
	l.View(func(b *ledger.Book) { keys = b.Keys(name, period) })
	return keys
}

func (l lasting) Actionable(ctx context.Context, index uint64, h ledger.EntryHash) (err error) {
	if err := l.Refresh(ctx); err != nil {
		return err
	}
	l.View(func(b *ledger.Book) { err = b.Actionable(index, h, time.Now()) })
	return err
}

// changing is a deployment whose law needs both of its judicial custodians and the one of
// oversight, and can be amended within seconds.
type changing struct {
	*testenv.World
	laws  lasting
	copy  replica.Config   // of laws
	next  *charter.Charter // the version in force, after amend
	ahead atomic.Int64     // of delivery's clock
}

const activation = 2 * time.Second

func newChanging(t *testing.T) *changing {
	t.Helper()
	w := &changing{}
	w.World = testenv.New(t, testenv.Options{
		Shapes: []chartertest.Shape{
			{Office: "judicial", Need: 2, Custodians: 2, Approve: 1, Approvers: 1},
			{Office: "oversight", Need: 1, Custodians: 1, Approve: 1, Approvers: 1},
		},
		Charter: func(c *charter.Charter) {
			c.Limits.ActivationDelay, c.Limits.MaxEpochAge = uint64(activation/time.Second), 60
		},
		Delivery: func(c *delivery.Config) {
			c.Laws, c.Now = &w.laws, func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
		},
	})
	w.copy = replica.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), URL: w.Ledger, Policy: w.Policy,
		Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute}
	w.laws.Replica = must(replica.Open(ctx, w.copy))
	t.Cleanup(func() { w.laws.Close() })
	w.Must(w.laws.Refresh(ctx))
	return w
}

func (w *changing) person(account string) *testenv.Person {
	return w.Person(account, func(c *client.Config) { c.Laws = &w.laws })
}

// draft is the next version of the law, as the first one is but for what change does.
func (w *changing) draft(change func(*charter.Charter)) *charter.Charter {
	next := must(charter.Parse(w.Charter.Encode()))
	next.Number, next.Previous = 2, w.Charter.Hash()
	change(next)
	return next
}

// amend logs a version and waits until it is in force for everybody, custodians first.
func (w *changing) amend(next *charter.Charter, custodians map[string]api.CustodianClient) {
	w.T.Helper()
	w.next = next
	size := w.Add(ledger.CharterEntry(w.Sign(next))) + 1
	for who, c := range custodians {
		for end := time.Now().Add(20 * time.Second); ; {
			status, err := c.Status(ctx, &api.StatusRequest{})
			if err == nil && status.LedgerSize >= size {
				break
			}
			if time.Now().After(end) {
				w.T.Fatalf("%s never reads the amendment: %v, %v", who, status, err)
			}
			<-time.After(50 * time.Millisecond)
		}
	}
	w.Must(w.laws.Refresh(ctx))
	<-time.After(activation + time.Second) // what the law wants; times of checkpoints are in seconds
	if c, ok := w.laws.InForce(next.Name, time.Now()); !ok || c.Number != 2 {
		w.T.Fatalf("in force: %v", c)
	}
}

// authorise is [testenv.World.Authorise] under the version in force.
func (w *changing) authorise(subject string) *examine.Case {
	w.T.Helper()
	x, reader := w.Warrant(subject)
	x.Charter = w.next.Hash()
	c := must(examine.NewCase(x, reader))
	w.Must(w.Agency.Lodge(ctx, c, w.next))
	w.ReadAndApprove(w.Agency.Docket, x.Hash())
	_, err := w.Agency.Publish(ctx, x.Hash())
	w.Must(err)
	return c
}

// TM-35, TM-45: an amendment that the quorum of the version before signed replaces a custodian.
// Who left has its key file and passphrase, what it released before, delivery, the agency
// and the custodians that stayed, of whom one more would be needed, and tries to open what
// is said since. The whole of R32 in one run: people are told and go on, what was said
// before opens by who held it then, what is said since by who holds it now, and each
// bundle of the one warrant verifies. Eve, who stays under the version before, is let go on for
// as long as an epoch may live.
func TestCustodianWhoLeft(t *testing.T) {
	t.Parallel()
	w := newChanging(t)
	ann, ben, eve := w.person("ann"), w.person("ben"), w.person("eve")
	id := w.Talk(ann, ben, eve)
	ann.Say(id, "under the first")
	first := ann.Group(id).Epoch()
	w.Sync(ben)
	left := w.Custodians[1]
	names := custodian.Names{Charter: w.Charter.Name, Office: "judicial", Custodian: "judicial-3"}
	joined := testlaw.Custodian{Names: names, Dir: t.TempDir()}
	joined.Public = must(custodian.CreateKeys(joined.Dir, []byte(testlaw.Passphrase), 5, names, charter.XWing, w.Charter.Period(time.Now())))
	_, asked := w.StartCustodian(w.CustodianConfig(joined))
	all := map[string]api.CustodianClient{joined.Who(): asked}
	for who, c := range w.Asked() {
		all[who] = c
	}
	w.amend(w.draft(func(c *charter.Charter) {
		c.Offices[0].Custodians[1], c.Structure.Children[0].Children[1].Custodian = joined.Public.Custodian, joined.Custodian
		c.Keys = slices.DeleteFunc(c.Keys, func(k *charter.KeyStatement) bool { return k.Custodian == left.Custodian })
		c.Keys = append(c.Keys, joined.Public.Statements...)
	}), all)

	inForce := time.Now()
	for _, p := range []*testenv.Person{ann, ben} {
		if err := p.Send(ctx, id, "unread"); !errors.Is(err, client.ErrUnread) {
			breach(t, "%s speaks under a law that changed: %v", p.Account, err)
		}
		laws := must(p.ToRead(id))
		if len(laws) != 1 || laws[0].Charter != w.next.Hash() || !strings.Contains(strings.Join(laws[0].Changes, "\n"), "judicial-3") {
			breach(t, "%s is shown %+v", p.Account, laws)
		}
		w.Must(p.Acknowledge(w.next.Hash()))
	}
	ann.Say(id, "under the second")
	epoch := ann.Group(id).Epoch()
	w.Sync(ben)
	ben.Say(id, "so I see")
	w.Sync(ann, ben)
	if got := ben.Shown(id); !slices.Equal(got, []string{"under the first", "under the second", "so I see"}) {
		t.Fatalf("ben is shown %q", got)
	}

	before, since := ann.Capsule(id, first, 0), ann.Capsule(id, epoch, 0)
	if law := parse(t, since).Label().Charter; law != w.next.Hash() {
		breach(t, "what is said since is sealed under %v", law)
	}
	if n := opensWith(t, left, before, w.Charter); n != 1 {
		t.Fatalf("who left opens %d shares of what was its own", n)
	}
	if n := opensWith(t, left, since, w.next); n != 0 {
		breach(t, "who left opens %d shares of what is said since", n)
	}
	c := w.authorise("ann")
	p := w.Package(c, since)
	out, err := w.Ask(left, p)
	w.Must(err)
	refusal(t, "who left", left, out, unseal.ReasonKey)
	w.remains(t, c, p, []testlaw.Custodian{w.Custodians[0], w.Custodians[2]}, before, since)

	config := w.Examiner()
	config.Custodians = all
	opening, err := examine.Open(ctx, config, w.authorise("ann"))
	w.Must(err)
	texts := map[string]string{}
	for _, part := range opening.Parts {
		report := must(bundle.Verify(built(testenv.Contents(part), w.Policy), w.Policy, w.Charter.Hash()))
		if !report.Complete || len(report.Compartments) != 1 {
			t.Fatalf("%+v", report)
		}
		var by []string
		for _, r := range part.Releases {
			by = append(by, r.Custodian)
		}
		texts[*report.Compartments[0].Messages[0].Text] = strings.Join(by, " ")
	}
	if len(texts) != 2 || texts["under the first"] != "judicial-1 judicial-2 oversight-1" || texts["under the second"] != "judicial-1 judicial-3 oversight-1" {
		t.Errorf("opened by: %v", texts)
	}

	w.person("zoe")
	w.Must(ann.Invite(ctx, id, "zoe")) // in an epoch that is young
	w.Sync(eve)
	w.ahead.Store(int64(time.Minute - time.Since(inForce)))
	stays := own(t, w.World, eve, id, w.Charter, func([]byte) {})
	h := stays.Hash()
	if err := post(t, eve, id, stays.Bytes(), h[:], "under the first, still"); err == nil || !strings.Contains(err.Error(), "superseded") {
		breach(t, "eve goes on under the version before: %v", err)
	}
}

// remains lets those who stayed release, and combines their shares with what who left had.
func (w *changing) remains(t *testing.T, c *examine.Case, p *examine.Package, stayed []testlaw.Custodian, before, since []byte) {
	t.Helper()
	old := w.Package(c, before)
	var shares []unseal.Share
	take := func(from testlaw.Custodian, p *examine.Package) {
		out := must(w.Ask(from, p))
		if out.GetGranted() == nil {
			t.Fatalf("%s: %v", from.Who(), out)
		}
		list := must(unseal.OpenRelease(must(unseal.ParseRelease(out.GetGranted().Release)), c.Reader, from.Public.Custodian.Key))
		for _, x := range list {
			x.Capsule = capsule.HashOf(since)
			shares = append(shares, x)
		}
	}
	for _, x := range stayed {
		take(x, p)
	}
	access := must(w.next.Access(parse(t, since).Label().Period, nil))
	combiner := must(unseal.NewCombiner(access))
	if _, _, _, err := combiner.Combine(since, shares); !errors.Is(err, unseal.ErrTooFew) {
		breach(t, "without the one who came it opens: %v", err)
	}
	take(w.Custodians[1], old)
	for i := range shares {
		if shares[i].Custodian == w.Custodians[1].Custodian {
			shares[i].Custodian = "judicial-3"
		}
	}
	if _, _, _, err := combiner.Combine(since, shares); !errors.Is(err, unseal.ErrTooFew) {
		breach(t, "with the share of who left it opens: %v", err)
	}
	if forced(since, access, shares) {
		breach(t, "and by force")
	}
}

// opensWith tries every 32 bytes of a custodian's key file, which its passphrase opens, as
// the key of each share of a capsule, and counts the shares that open.
func opensWith(t testing.TB, c testlaw.Custodian, sealed []byte, law *charter.Charter) (n int) {
	t.Helper()
	plain := keyFile(t, c.Dir)
	parsed := parse(t, sealed)
	about := capsule.Context(parsed.Label(), must(law.Access(parsed.Label().Period, nil)))
	for i := range len(plain) - 31 {
		k, err := hpke.MLKEM768X25519().NewPrivateKey(plain[i : i+32])
		if err != nil {
			continue
		}
		for _, s := range parsed.Shares() {
			if r, err := hpke.NewRecipient(s.Enc, k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), about[:]); err == nil {
				if _, err := r.Open(s.Commitment[:], s.Ciphertext); err == nil {
					n++
				}
			}
		}
	}
	return n
}

// keyFile opens a custodian's key file with its passphrase.
func keyFile(t testing.TB, dir string) []byte {
	t.Helper()
	identity := must(age.NewScryptIdentity(testlaw.Passphrase))
	r, err := age.Decrypt(bytes.NewReader(must(os.ReadFile(filepath.Join(dir, "keys.age")))), identity)
	if err != nil {
		t.Fatal(err)
	}
	return must(io.ReadAll(r))
}

// TM-18: an amendment replaces a witness. The one that left helps the notary, and another
// that errs, to the quorum of before: a private history for custodians and for a copy of
// the ledger. Everybody else goes on across the amendment without a restart, but the
// notary, which asks the witnesses of both policies while the amendment waits.
func TestWitnessWhoLeft(t *testing.T) {
	t.Parallel()
	w := newChanging(t)
	ann, ben := w.person("ann"), w.person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "before")
	before, left := w.Policy, w.Witness
	both := strings.Split(before.String(), "group")[0] + w.AddWitness("c", before.LogVKey())
	w.RestartNotary(must(ledger.ParsePolicy(both + "group q all a b c\nquorum q\n")))
	lines := strings.Split(both, "\n") // log, a, b, c
	after := must(ledger.ParsePolicy(strings.Join(slices.Delete(lines, 2, 3), "\n") + "group q all a c\nquorum q\n"))
	w.amend(w.draft(func(c *charter.Charter) { c.Policy = after.String() }), w.Asked())
	for _, p := range []*testenv.Person{ann, ben} {
		w.Must(p.Acknowledge(w.next.Hash()))
	}
	ann.Say(id, "after")
	w.Sync(ben)

	s := &spoken{World: w.World, ann: ann, id: id, capsule: ann.Capsule(id, ann.Group(id).Epoch(), 0), c: unpublished(w, "ann")}
	private := w.LyingLog()
	size := private.Size()
	warrantEntry, requestEntry := w.Entries(s.c, ledger.DocketSigner(w.Docket), size, s.capsule)
	private.Add(warrantEntry)
	private.Add(requestEntry)
	now := time.Now()
	refused(t, w.World, "the quorum of before", s.pack(warrantEntry, private.Proof(size, now, "a", "b"),
		requestEntry, private.Proof(size+1, now, "a", "b")), unseal.ReasonNotLogged)
	w.Gate.Turn(private) // cosigned by a and b
	if err := w.laws.Refresh(ctx); !errors.Is(err, ledger.ErrNoQuorum) {
		breach(t, "a copy follows the quorum of before: %v", err)
	}
	w.Gate.Turn(nil)

	left.Shut(true)
	w.RestartNotary(after)
	w.Policy = after
	opening, err := examine.Open(ctx, w.Examiner(), w.authorise("ann"))
	w.Must(err)
	for _, part := range opening.Parts {
		if report := must(bundle.Verify(built(testenv.Contents(part), after), after, w.Charter.Hash())); !report.Complete {
			t.Errorf("%+v", report)
		}
	}
	if len(opening.Parts) != 2 {
		t.Errorf("%d parts, outside %v", len(opening.Parts), opening.Outside)
	}

	w.Must(w.laws.Close())
	w.laws.Replica = must(replica.Open(ctx, w.copy)) // as its service is started again, with the file of before
	w.Must(w.laws.Refresh(ctx))
	lost := w.copy
	lost.Path = filepath.Join(t.TempDir(), "ledger.db")
	fresh := must(replica.Open(ctx, lost))
	defer fresh.Close()
	if err := fresh.Refresh(ctx); !errors.Is(err, ledger.ErrNoQuorum) || !strings.Contains(err.Error(), "not by b") {
		t.Errorf("a new copy under the policy of before: %v", err)
	}
}

// unpublished is an approved warrant under the version in force that nobody logged.
func unpublished(w *changing, subject string) *examine.Case {
	x, reader := w.Warrant(subject)
	x.Charter = w.next.Hash()
	return must(examine.NewCase(x, reader))
}
