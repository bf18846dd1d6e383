package examine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/client"
	"writ/delivery"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/engine"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/mls"
	"writ/unseal"
	"writ/warrant"
)

var ctx = context.Background()

// offices is judicial 2 of 3 and oversight 1 of 2.
var offices = []chartertest.Shape{
	{Office: "judicial", Need: 2, Custodians: 3, Approve: 1, Approvers: 1},
	{Office: "oversight", Need: 1, Custodians: 2, Approve: 1, Approvers: 1},
}

// story is a law at work and people who talk.
type story struct {
	*testlaw.World
	t          testing.TB
	delivery   api.DeliveryClient
	agency     *examine.Agency
	custodians map[string]api.CustodianClient
	directory  api.DirectoryClient
	book       *ledger.Book
}

// address is delivery's, as a deployment file names it.
const address = "https://delivery.test"

func newStory(t testing.TB, change func(*charter.Charter)) *story {
	t.Helper()
	s := &story{World: testlaw.New(t, change, offices...), t: t, custodians: map[string]api.CustodianClient{},
		directory: directorytest.New(time.Now)}
	s.book, _ = s.Book()
	service, err := delivery.Open(delivery.Config{Store: engine.Config{Path: filepath.Join(t.TempDir(), "delivery.db")},
		Laws: delivery.FixedLaws(s.Charter), Address: address, StatementKey: delivery.StatementKey(s.World.Delivery)})
	s.must(err)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(func() { server.CloseClientConnections(); server.Close(); service.Close() })
	s.delivery = api.NewDeliveryClient(http.DefaultClient, server.URL)
	_, docket := s.StartDocket(t.TempDir())
	s.agency = &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(s.AgencyKey), Docket: docket}
	for _, c := range s.Custodians {
		_, s.custodians[c.Who()] = s.StartCustodian(s.CustodianConfig(c))
	}
	return s
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// device registers a person's phone.
func (s *story) device(account string) *client.Device {
	s.t.Helper()
	files, err := client.OpenFiles(s.t.TempDir())
	s.must(err)
	d, err := client.Open(client.Config{Storage: files, Delivery: s.delivery, Laws: s.book, Now: time.Now, KeyPackages: 3,
		Directory: s.directory, Address: address})
	s.must(err)
	id := directory.Identity{Account: account, Device: "phone"}
	s.must(d.Register(ctx, id, s.Charter.Hash(), directorytest.Recovery(account).Public()))
	return d
}

// annAndBen returns a device of each and the conversation they are in.
func (s *story) annAndBen() (ann, ben *client.Device, with client.ConversationID) {
	s.t.Helper()
	ann, ben = s.device("ann"), s.device("ben")
	with, err := ann.Create(ctx, "ben")
	s.must(err)
	s.sync(ann, ben)
	return ann, ben, with
}

func (s *story) say(d *client.Device, id client.ConversationID, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		s.must(d.Send(ctx, id, text))
	}
}

func (s *story) sync(devices ...*client.Device) {
	s.t.Helper()
	for _, d := range devices {
		_, err := d.Sync(ctx)
		s.must(err)
	}
}

// authorise takes a warrant on a subject through docket and ledger.
func (s *story) authorise(subject string, change func(*warrant.Warrant)) *examine.Case {
	s.t.Helper()
	w, reader := s.Warrant(subject)
	change(w)
	c, err := examine.NewCase(w, reader)
	s.must(err)
	s.must(s.agency.Lodge(ctx, c, s.Charter))
	s.ReadAndApprove(s.agency.Docket, w.Hash())
	_, err = s.agency.Publish(ctx, w.Hash())
	s.must(err)
	return c
}

func (s *story) config() examine.Config {
	return examine.Config{Agency: s.agency, Delivery: s.delivery, Directory: s.directory, Custodians: s.custodians,
		Ledger: s.Replica(), MaxAge: time.Minute}
}

// openOne opens what fits in one request.
func openOne(config examine.Config, c *examine.Case) (*examine.Opened, error) {
	opening, err := examine.Open(ctx, config, c)
	if err != nil {
		return nil, err
	}
	if len(opening.Parts) != 1 || len(opening.Outside) != 0 {
		return nil, fmt.Errorf("%d parts, outside %v", len(opening.Parts), opening.Outside)
	}
	return opening.Parts[0], nil
}

// read decrypts what was opened, as "account epoch: text".
func (s *story) read(o *examine.Opened) []string {
	s.t.Helper()
	var lines []string
	for _, c := range o.Compartments {
		if c.Forged != nil {
			continue
		}
		parsed, err := capsule.Parse(c.Capsule)
		s.must(err)
		l := parsed.Label()
		group, err := mls.ParseGroupContext(c.GroupContext)
		s.must(err)
		leaf, err := mls.VerifyLeafProof(group.Suite, group.TreeHash, mls.LeafIndex(l.Leaf), c.LeafProof)
		s.must(err)
		opener, err := mls.NewSenderOpener(group.Suite, c.Ratchet, c.SenderData, mls.LeafIndex(l.Leaf), c.GroupContext, leaf.SignatureKey)
		s.must(err)
		if len(c.Messages) > 0 && int(c.Count) != len(c.Messages) {
			s.t.Errorf("%d messages, delivery counts %d", len(c.Messages), c.Count)
		}
		for _, m := range c.Messages {
			got, err := opener.Open(m.Ciphertext)
			s.must(err)
			text, err := capsule.Text(got.Generation, got.Data)
			s.must(err)
			lines = append(lines, l.Account+": "+string(text))
		}
	}
	return lines
}

// The whole line on real services: people talk, a warrant is drafted, approved
// by two offices, published and requested; custodians release; exactly the
// named compartments open (R3) and their neighbours stay closed.
func TestOpenExactlyWhatIsNamed(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	ann, ben, eve := s.device("ann"), s.device("ben"), s.device("eve")
	with, err := ann.Create(ctx, "ben")
	s.must(err)
	other, err := ann.Create(ctx, "eve")
	s.must(err)
	s.sync(ann, ben, eve)
	s.say(ann, with, "one", "two")
	s.say(ben, with, "mine")
	s.say(ann, other, "elsewhere")
	s.must(ann.Invite(ctx, with, "eve")) // the next epoch
	s.sync(ann, ben, eve)
	s.say(ann, with, "three")
	s.say(eve, with, "also mine")

	c := s.authorise("ann", func(w *warrant.Warrant) { w.Conversations = [][]byte{with[:]} })
	var stages []string
	config := s.config()
	config.Progress = func(p examine.Progress) { stages = append(stages, p.Stage) }
	opened, err := openOne(config, c)
	s.must(err)
	if got := s.read(opened); !slices.Equal(got, []string{"ann: one", "ann: two", "ann: three"}) {
		t.Errorf("read %q", got)
	}
	if len(opened.Compartments) != 2 || len(opened.Releases) != 5 || len(opened.Bad)+len(opened.Refusals) != 0 {
		t.Errorf("%d compartments, %d releases, bad %v, refusals %v", len(opened.Compartments), len(opened.Releases), opened.Bad, opened.Refusals)
	}
	if !slices.Contains(stages, "release") || !slices.Contains(stages, "combine") {
		t.Errorf("stages %v", stages)
	}
	s.neighboursStayClosed(opened, c)
	_, before := s.Book()
	again, err := openOne(s.config(), c)
	s.must(err)
	if _, after := s.Book(); len(after) != len(before) || !slices.Equal(s.read(again), s.read(opened)) {
		t.Errorf("opening again added %d entries", len(after)-len(before))
	}
	if b, _ := s.Book(); len(b.Findings()) > 0 {
		t.Errorf("findings %v", b.Findings())
	}
	s.checkEvidence(opened)
	s.checkBundle(opened, "one", "two", "three")
}

// checkBundle builds the bundle, verifies it offline, and finds the texts in
// its report.
func (s *story) checkBundle(o *examine.Opened, texts ...string) *bundle.Report {
	s.t.Helper()
	file, _, err := bundle.Build(testenv.Contents(o), s.Policy)
	s.must(err)
	report, err := bundle.Verify(file, s.Policy)
	s.must(err)
	for _, text := range texts {
		if !strings.Contains(string(report.Text()), text) {
			s.t.Errorf("the report lacks %q", text)
		}
	}
	return report
}

// neighboursStayClosed takes every share that was released and tries it on all
// other compartments that a wider warrant would reach.
func (s *story) neighboursStayClosed(opened *examine.Opened, c *examine.Case) {
	s.t.Helper()
	var shares []unseal.Share
	for _, r := range opened.Releases {
		parsed, err := unseal.ParseRelease(r.Release)
		s.must(err)
		list, err := unseal.OpenRelease(parsed, c.Reader, s.Charter.Custodian(r.Office, r.Custodian).Key)
		s.must(err)
		shares = append(shares, list...)
	}
	wider := s.authorise("ann", func(w *warrant.Warrant) { w.Direction = warrant.SentAndReceived })
	all, err := openOne(s.config(), wider)
	s.must(err)
	closed := 0
	for _, n := range all.Compartments {
		if slices.ContainsFunc(opened.Compartments, func(o examine.Compartment) bool { return bytes.Equal(o.Capsule, n.Capsule) }) {
			continue
		}
		closed++
		hash := capsule.HashOf(n.Capsule)
		if slices.ContainsFunc(shares, func(x unseal.Share) bool { return x.Capsule == hash }) {
			s.t.Error("a share of a neighbour was released")
		}
		for _, o := range opened.Compartments {
			if bytes.Equal(o.Ratchet, n.Ratchet) {
				s.t.Error("a neighbour has the same secret")
			}
		}
	}
	if closed != 3 {
		s.t.Errorf("%d neighbours, want 3: ben's, eve's, and ann's elsewhere", closed)
	}
}

// checkEvidence verifies all that a bundle will hold, from its bytes.
func (s *story) checkEvidence(o *examine.Opened) {
	s.t.Helper()
	if len(o.Charters) != 1 {
		s.t.Errorf("%d charters", len(o.Charters))
	}
	proven := append(slices.Clone(o.Charters), o.WarrantEntry, o.RequestEntry)
	for _, r := range o.Releases {
		proven = append(proven, r.Intent)
	}
	for _, p := range append(proven, o.Keys...) {
		if in, err := s.Policy.Include(p.Entry, p.Proof, time.Now(), 0); err != nil || in.Index() != p.Index {
			s.t.Errorf("entry %d: %v", p.Index, err)
		}
	}
	w, err := warrant.Parse(o.Warrant)
	s.must(err)
	entry, err := ledger.ParseEntry(o.WarrantEntry.Entry)
	s.must(err)
	if _, err := warrant.Verify(w, o.WarrantSalt, entry.Warrant.Approvals, s.Charter, time.Now()); err != nil {
		s.t.Error(err)
	}
}

// R11, R33: without enough of one office nothing opens, and the error says who
// refused and who did not answer.
func TestBlocked(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	ann, _, with := s.annAndBen()
	s.say(ann, with, "one")
	c := s.authorise("ann", func(*warrant.Warrant) {})

	for name, absent := range map[string][]string{
		"no oversight":          {"oversight/oversight-1", "oversight/oversight-2"},
		"one judicial of two":   {"judicial/judicial-1", "judicial/judicial-2"},
		"oversight alone":       {"judicial/judicial-1", "judicial/judicial-2", "judicial/judicial-3"},
		"nobody answers at all": {"judicial/judicial-1", "judicial/judicial-2", "judicial/judicial-3", "oversight/oversight-1", "oversight/oversight-2"},
	} {
		config := s.config()
		config.Custodians = map[string]api.CustodianClient{}
		for who, client := range s.custodians {
			if slices.Contains(absent, who) {
				client = api.NewCustodianClient(http.DefaultClient, "http://127.0.0.1:1")
			}
			config.Custodians[who] = client
		}
		opened, err := openOne(config, c)
		var blocked *examine.BlockedError
		if opened != nil || !errors.As(err, &blocked) || !errors.Is(err, examine.ErrTooFew) {
			t.Fatalf("%s: %v", name, err)
		}
		if len(blocked.Unreachable) != len(absent) || len(blocked.Released) != len(offices)+3-len(absent) {
			t.Errorf("%s: %+v", name, blocked)
		}
	}
	if opened, err := openOne(s.config(), c); err != nil || len(s.read(opened)) != 1 {
		t.Errorf("with all: %v", err)
	}
}

// twisted is a custodian whose answers are changed on the way, or by itself.
type twisted struct {
	api.CustodianClient
	twist func(*api.ReleaseResponse)
}

func (c twisted) Release(ctx context.Context, q *api.ReleaseRequest) (*api.ReleaseResponse, error) {
	out, err := c.CustodianClient.Release(ctx, q)
	if err == nil {
		c.twist(out)
	}
	return out, err
}

// R13: an answer that doesn't hold is left out and its custodian named; the
// opening goes on with the others.
func TestHostileCustodian(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	ann, ben, with := s.annAndBen()
	s.say(ann, with, "one")
	s.say(ben, with, "two")
	other, err := openOne(s.config(), s.authorise("ben", func(*warrant.Warrant) {}))
	s.must(err)
	c := s.authorise("ann", func(*warrant.Warrant) {})
	honest, err := openOne(s.config(), c)
	s.must(err)
	of := func(o *examine.Opened, custodian string) examine.Release {
		i := slices.IndexFunc(o.Releases, func(r examine.Release) bool { return r.Custodian == custodian })
		return o.Releases[i]
	}
	for name, twist := range map[string]func(g *api.Granted){
		"another custodian's release": func(g *api.Granted) { g.Release = of(honest, "judicial-2").Release },
		"another custodian's answer": func(g *api.Granted) {
			r := of(honest, "judicial-2")
			g.Release, g.Intent, g.IntentProof = r.Release, r.Intent.Entry, r.Intent.Proof
		},
		"release of another request": func(g *api.Granted) { g.Release = of(other, "judicial-1").Release },
		"intent of another request": func(g *api.Granted) {
			r := of(other, "judicial-1")
			g.Intent, g.IntentProof = r.Intent.Entry, r.Intent.Proof
		},
		"intent of another custodian": func(g *api.Granted) {
			r := of(honest, "judicial-2")
			g.Intent, g.IntentProof = r.Intent.Entry, r.Intent.Proof
		},
		"no intent":       func(g *api.Granted) { g.Intent, g.IntentProof = nil, nil },
		"changed release": func(g *api.Granted) { g.Release[len(g.Release)-1] ^= 1 },
		"nothing":         func(g *api.Granted) { g.Reset() },
	} {
		config := s.config()
		config.Custodians = maps.Clone(s.custodians)
		config.Custodians["judicial/judicial-1"] = twisted{s.custodians["judicial/judicial-1"], func(out *api.ReleaseResponse) { twist(out.GetGranted()) }}
		opened, err := openOne(config, c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(opened.Releases) != 4 || opened.Failed["judicial/judicial-1"] == nil || !slices.Equal(s.read(opened), []string{"ann: one"}) {
			t.Errorf("%s: %d releases, failed %v", name, len(opened.Releases), opened.Failed)
		}
	}
	config := s.config()
	config.Custodians = maps.Clone(s.custodians)
	forged := &api.Refused{Refusal: (&ledger.Refusal{Office: "judicial", Custodian: "judicial-1", Reason: 1,
		Request: ledger.HashEntry(honest.RequestEntry.Entry)}).Entry(), Reason: 1}
	config.Custodians["judicial/judicial-1"] = twisted{s.custodians["judicial/judicial-1"], func(out *api.ReleaseResponse) {
		out.Answer = &api.ReleaseResponse_Refused{Refused: forged}
	}}
	opened, err := openOne(config, c)
	s.must(err)
	if len(opened.Refusals) != 0 || opened.Failed["judicial/judicial-1"] == nil {
		t.Errorf("a refusal that nobody signed counts: %v", opened.Refusals)
	}
}

// twoEpochs has ann say "one" in an epoch of a conversation, and "two" in the next.
func (s *story) twoEpochs() {
	s.t.Helper()
	ann, ben, _ := s.device("ann"), s.device("ben"), s.device("eve")
	with, err := ann.Create(ctx, "ben")
	s.must(err)
	s.sync(ann, ben)
	s.say(ann, with, "one")
	s.must(ann.Invite(ctx, with, "eve"))
	s.say(ann, with, "two")
}

// disclosing is a delivery service that changes what it discloses.
type disclosing struct {
	api.DeliveryClient
	change func([]*api.Compartment)
}

func (d disclosing) Disclose(ctx context.Context, q *api.DiscloseRequest) (*api.DiscloseResponse, error) {
	out, err := d.DeliveryClient.Disclose(ctx, q)
	if err == nil {
		d.change(out.Compartments)
	}
	return out, err
}

// A capsule of another compartment is not taken for this one's, nor one that
// somebody put beside the right one; what can't be asked for is told.
func TestWhichCapsule(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.twoEpochs()
	c := s.authorise("ann", func(*warrant.Warrant) {})
	for name, x := range map[string]struct {
		change  func([]*api.Compartment)
		want    []string
		outside int
	}{
		"another's only":   {func(l []*api.Compartment) { l[0].Capsules = l[1].Capsules }, []string{"ann: two"}, 1},
		"another's before": {func(l []*api.Compartment) { l[0].Capsules = append(slices.Clone(l[1].Capsules), l[0].Capsules...) }, []string{"ann: one", "ann: two"}, 0},
		"junk before":      {func(l []*api.Compartment) { l[0].Capsules = append([][]byte{{1}}, l[0].Capsules...) }, []string{"ann: one", "ann: two"}, 0},
		"a forged one before": {func(l []*api.Compartment) {
			l[0].Capsules = append([][]byte{spoil(l[0].Capsules[0], 1)}, l[0].Capsules...)
		}, []string{"ann: one", "ann: two"}, 0},
		// Nothing says which is right where nobody has spoken. Of the first, one
		// custodian refuses and the others' shares prove it forged; of the second an
		// office refuses all.
		"a forged one": {func(l []*api.Compartment) {
			l[0].Capsules, l[0].Messages = [][]byte{spoil(l[0].Capsules[0], 1), l[0].Capsules[0]}, nil
		}, []string{"ann: two"}, 0},
		"a broken one": {func(l []*api.Compartment) {
			l[0].Capsules, l[0].Messages = [][]byte{spoil(l[0].Capsules[0], 2), l[0].Capsules[0]}, nil
		}, []string{"ann: two"}, 0},
		"a broken one only": {func(l []*api.Compartment) {
			l[0].Capsules = [][]byte{spoil(l[0].Capsules[0], 2)}
		}, []string{"ann: two"}, 1},
	} {
		config := s.config()
		config.Delivery = disclosing{s.delivery, x.change}
		opening, err := examine.Open(ctx, config, c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		salts := map[[32]byte]bool{}
		for _, part := range opening.Parts {
			got = append(got, s.read(part)...)
			salts[part.NoticeSalt] = true
		}
		if len(salts) != len(opening.Parts) {
			t.Errorf("%s: %d notice salts for %d requests", name, len(salts), len(opening.Parts))
		}
		if slices.Sort(got); !slices.Equal(got, x.want) || len(opening.Outside) != x.outside {
			t.Errorf("%s: %q, outside %v", name, got, opening.Outside)
		}
		if opened := 2 - x.outside; opening.Compartments() != opened {
			t.Errorf("%s: %d compartments, want %d", name, opening.Compartments(), opened)
		}
	}
}

// silent are services that take a call and never answer.
type silent struct {
	api.CustodianClient
	api.DirectoryClient
}

func (silent) Release(ctx context.Context, _ *api.ReleaseRequest) (*api.ReleaseResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) LookUp(ctx context.Context, _ *api.LookUpRequest) (*api.LookUpResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A custodian that never answers, and a directory that does not, hold up nothing for long:
// the others' shares open, and what they open is evidence.
func TestWhoNeverAnswers(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	ann, _, with := s.annAndBen()
	s.say(ann, with, "one")
	config, c := s.config(), s.authorise("ann", func(*warrant.Warrant) {})
	who := s.Custodians[0].Who()
	config.Custodians = maps.Clone(s.custodians)
	config.Custodians[who], config.Directory, config.Patience = silent{}, silent{}, 5*time.Second
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	opening, err := examine.Open(bounded, config, c)
	s.must(err)
	if o := opening.Parts[0]; !slices.Equal(s.read(o), []string{"ann: one"}) || o.Failed[who] == nil || o.Unproven["ann"] == nil {
		t.Errorf("read %q, failed %v, unproven %v", s.read(o), o.Failed, o.Unproven)
	}
}

// endless is a delivery service whose list of compartments never ends.
type endless struct {
	api.DeliveryClient
	page uint64
}

func (d *endless) Disclose(context.Context, *api.DiscloseRequest) (*api.DiscloseResponse, error) {
	d.page++
	out := &api.DiscloseResponse{Next: binary.BigEndian.AppendUint64(nil, d.page)}
	for i := range uint32(1024) {
		out.Compartments = append(out.Compartments, &api.Compartment{Epoch: d.page, Leaf: i})
	}
	return out, nil
}

// A delivery service that lists without end costs the examiner a bounded part of its
// memory, and an error.
func TestDisclosureWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	config, c := s.config(), s.authorise("ann", func(*warrant.Warrant) {})
	hostile := &endless{}
	config.Delivery = hostile
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := examine.Open(bounded, config, c); err == nil || !strings.Contains(err.Error(), "does not end") || hostile.page > 100 {
		t.Errorf("after %d pages: %v", hostile.page, err)
	}
}

// full is a docket that takes a number of requests and no more.
type full struct {
	api.DocketClient
	room int
}

func (d *full) RequestRelease(ctx context.Context, q *api.RequestReleaseRequest) (*api.RequestReleaseResponse, error) {
	if d.room--; d.room < 0 {
		return nil, connect.NewError(connect.CodeResourceExhausted, errors.New("no more requests"))
	}
	return d.DocketClient.RequestRelease(ctx, q)
}

// Who spoils capsules makes an opening take many requests, until the docket takes no more.
// What opened before that is not lost, and what did not open is told.
func TestRequestsRunOut(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.twoEpochs()
	config, c := s.config(), s.authorise("ann", func(*warrant.Warrant) {})
	config.Delivery = disclosing{s.delivery, func(l []*api.Compartment) { l[1].Capsules = [][]byte{spoil(l[1].Capsules[0], 2)} }}
	agency := *s.agency
	agency.Docket = &full{s.agency.Docket, 2} // for both, and for the first half
	config.Agency = &agency
	opening, err := examine.Open(ctx, config, c)
	s.must(err)
	if len(opening.Parts) != 1 || !slices.Equal(s.read(opening.Parts[0]), []string{"ann: one"}) {
		t.Errorf("%d parts", len(opening.Parts))
	}
	if len(opening.Outside) != 1 || !strings.Contains(opening.Outside[0].Why, "no more requests") {
		t.Errorf("outside %v", opening.Outside)
	}
}

// spoil breaks the last shares of a capsule, which are oversight's.
func spoil(b []byte, shares int) []byte {
	parsed, err := capsule.Parse(b)
	if err != nil {
		panic(err)
	}
	b = bytes.Clone(b)
	for _, share := range parsed.Shares()[len(parsed.Shares())-shares:] {
		b[bytes.Index(b, share.Ciphertext)] ^= 1
	}
	return b
}

// What isn't published opens nothing; over the cap every custodian refuses.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newStory(t, func(c *charter.Charter) { c.Limits.CapSubjects = 1 })
	ann, ben, with := s.annAndBen()
	s.say(ann, with, "one")
	s.say(ben, with, "two")

	w, reader := s.Warrant("ann")
	unpublished, err := examine.NewCase(w, reader)
	s.must(err)
	if _, err := openOne(s.config(), unpublished); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("not lodged: %v", err)
	}
	s.must(s.agency.Lodge(ctx, unpublished, s.Charter))
	if _, err := openOne(s.config(), unpublished); !errors.Is(err, examine.ErrNotPublished) {
		t.Errorf("not published: %v", err)
	}
	first := s.authorise("ann", func(*warrant.Warrant) {})
	second := s.authorise("ben", func(*warrant.Warrant) {})
	_, err = openOne(s.config(), second)
	var blocked *examine.BlockedError
	if !errors.As(err, &blocked) || len(blocked.Refusals) != 5 {
		t.Fatalf("over the cap: %v", err)
	}
	for _, r := range blocked.Refusals {
		if r.Reason != unseal.ReasonCap || !r.Logged {
			t.Errorf("refusal %+v", r)
		}
	}
	if _, err := openOne(s.config(), first); err != nil {
		t.Errorf("within the cap: %v", err)
	}
	nobody := s.authorise("nobody", func(*warrant.Warrant) {})
	if _, err := openOne(s.config(), nobody); !errors.Is(err, examine.ErrNothing) {
		t.Errorf("unknown subject: %v", err)
	}
	other, err := unseal.NewReaderKey()
	s.must(err)
	if _, err := examine.NewCase(w, other); err == nil {
		t.Error("a case with another reader key")
	}
}

// R12: no code path holds two custodians' private keys. The examiner's code
// names none of their types; a custodian's reads one key file in one place and
// makes one ring of it.
func TestNoPathHoldsTwoCustodiansKeys(t *testing.T) {
	for _, name := range uses(t, ".") {
		for _, forbidden := range []string{"unseal.CustodianKey", "unseal.Keyring", "unseal.NewKeyring", "unseal.ParseCustodianKey",
			"unseal.NewRelease", "unseal.Authorize", "ledger.CustodianSigner", "warrant.ParseMailKey", "warrant.MailKey"} {
			if name == forbidden {
				t.Errorf("examine uses %s", name)
			}
		}
	}
	made := map[string]int{}
	for _, name := range uses(t, "../custodian") {
		made[name]++
	}
	for _, once := range []string{"unseal.NewKeyring", "openKeys", "keyfile.Read"} {
		if made[once] != 1 {
			t.Errorf("custodian uses %s in %d places", once, made[once])
		}
	}
}

// uses returns what a folder's code calls or selects, tests left out: "name" of
// its own functions and "package.Name".
func uses(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					names = append(names, x.Name+"."+n.Sel.Name)
				}
			case *ast.CallExpr:
				if x, ok := n.Fun.(*ast.Ident); ok {
					names = append(names, x.Name)
				}
			}
			return true
		})
	}
	return names
}

// TestSealedIsNotOpened is R22 at the examiner: once an error stands against a
// request it gathers nothing, though custodians would answer as they did before.
func TestSealedIsNotOpened(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	ann, _, with := s.annAndBen()
	s.say(ann, with, "one")
	c := s.authorise("ann", func(*warrant.Warrant) {})
	o, err := openOne(s.config(), c)
	s.must(err)
	x := &ledger.Error{RequestIndex: o.RequestEntry.Index, Request: ledger.HashEntry(o.RequestEntry.Entry), Kind: ledger.WrongPerson}
	key, err := warrant.ParseApproverKey(s.World.World.Approvers["oversight-approver-1"].Seed())
	s.must(err)
	x.Approval = key.Approve(x.Hash(), "oversight", "oversight-approver-1")
	s.Add(x.Entry())
	if o, err := openOne(s.config(), c); !errors.Is(err, examine.ErrSealed) || o != nil {
		t.Errorf("opened again: %v", err)
	}
}
