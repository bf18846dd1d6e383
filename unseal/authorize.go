package unseal

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/ledger"
	"writ/notice"
	"writ/warrant"
)

// Facts is what a custodian knows by itself and takes from no request.
type Facts struct {
	Charter string         // name of the law this custodian serves
	Policy  *ledger.Policy // its witness policy, the same text as the charter's
	Now     time.Time      // its own clock
	Keys    *Keyring       // its keys, with its office and name
	// View shows its own copy of the ledger, up to date, to a function that does not keep
	// it. Others may have to wait meanwhile.
	View func(func(*ledger.Book))
	// Kept returns a copy of this custodian's share of a compartment that a hold keeps at
	// Now, or nil; it may be nil itself. Authorize takes the copy over, and erases it.
	Kept func(*ledger.Book, capsule.Hash) []byte
}

// Authorization is a request that passed every check of one custodian. Only
// [Authorize] makes one.
type Authorization struct {
	warrant  *warrant.Warrant
	policy   *ledger.Policy
	fresh    time.Duration // oldest cosignature accepted
	signing  charter.CustodianKey
	intent   ledger.Release
	until    uint64        // when a hold ends, Unix seconds
	compared []sealedShare // in the order of the request
}

// sealedShare is what a custodian needs of one capsule: 1.3 kB, not the whole.
type sealedShare struct {
	hash   capsule.Hash
	ctx    [32]byte
	path   []byte
	period lawPeriod
	share  capsule.Share
	kept   []byte // the share itself, if a hold keeps it and the key is gone
}

// Warrant returns the warrant, for the custodian's own record.
func (a *Authorization) Warrant() warrant.Warrant { return *a.warrant }

// Compartments returns how many compartments are authorised.
func (a *Authorization) Compartments() int { return len(a.compared) }

// Preserves reports whether the warrant asks to keep the compartments and to open
// nothing; they are then kept until Until, in Unix seconds.
func (a *Authorization) Preserves() bool { return a.warrant.Action == warrant.Preserve }

// Until returns when the hold ends.
func (a *Authorization) Until() uint64 { return a.until }

// Erase overwrites the shares that a hold gave. Nothing can be released afterwards.
func (a *Authorization) Erase() { erase(a.compared) }

func erase(list []sealedShare) {
	for _, s := range list {
		clear(s.kept)
	}
}

// Intent returns what a release entry, or a preservation, says.
func (a *Authorization) Intent() *ledger.Release {
	intent := a.intent
	return &intent
}

// SignIntent returns the entry to log and prove to be logged: a release, or a
// preservation.
func (a *Authorization) SignIntent(key ledger.CustodianSigner) []byte {
	if a.Preserves() {
		x := ledger.Preservation{Release: a.intent}
		x.Sign(key)
		return x.Entry()
	}
	x := a.intent
	x.Sign(key)
	return x.Entry()
}

// Authorize runs a custodian's checks (protocol, section 6) in the order of
// [Reason], each once, and stops at the first that fails. It returns exactly
// one of its results. A request of 1024 compartments takes about 1024 openings
// of a share and keeps 1.3 MB.
//
// It views the ledger twice. First it finds the law in force. The second time, when that
// still is the law, it makes the checks that need more of the ledger; to these comes only a
// request with the warrant, its salt, its approvals and both proofs. So a stranger's keeps
// nobody from the ledger for longer than it takes to find the law.
func Authorize(q *Request, f Facts) (*Authorization, *Refusal) {
	v := &vetting{q: q, f: f, periods: map[lawPeriod]*period{}}
	if f := first(
		v.parse, v.viewing(v.law), v.serves, v.entryFits, v.approvals, v.inclusion,
		v.viewing(v.stillLaw, v.copyOfLedger, v.requestFits, v.life, v.standing, v.renewal, v.cap, v.action, v.notice, v.round, v.compartments),
		v.shares,
	); f != nil {
		erase(v.sealed)
		request := ledger.HashEntry(q.RequestEntry)
		return nil, &Refusal{request, v.f.Keys.office, v.f.Keys.custodian, f.reason, f.why}
	}
	return v.result(), nil
}

// first takes steps until one fails.
func first(steps ...func() *fault) *fault {
	for _, step := range steps {
		if f := step(); f != nil {
			return f
		}
	}
	return nil
}

// viewing makes one step of those that look into the same state of the ledger.
func (v *vetting) viewing(steps ...func() *fault) func() *fault {
	return func() (f *fault) {
		v.f.View(func(b *ledger.Book) {
			v.book = b
			f = first(steps...)
			v.book = nil
		})
		return f
	}
}

// fault is the first check that failed.
type fault struct {
	reason Reason
	why    string
}

func fail(r Reason, format string, args ...any) *fault {
	return &fault{r, fmt.Sprintf(format, args...)}
}

// vetting is one run of Authorize: each step uses what those before it found.
type vetting struct {
	q *Request
	f Facts

	book *ledger.Book // in the steps that view it

	warrant      *warrant.Warrant // parse
	warrantEntry *ledger.Entry
	requestEntry *ledger.Entry

	charter  *charter.Charter                  // law
	before   []*charter.Charter                // it and those before it
	versions map[charter.Hash]*charter.Charter // serves: these by their hashes
	signing  charter.CustodianKey

	late error // approvals: outside life or past review, which is told in its turn

	warrantIn, requestIn *ledger.Included      // inclusion
	logged               *ledger.LoggedWarrant // copyOfLedger

	until   uint64                // action
	periods map[lawPeriod]*period // compartments
	sealed  []sealedShare
}

// parse reads warrant and entries whole (R37).
func (v *vetting) parse() *fault {
	var err error
	if v.warrant, err = warrant.Parse(v.q.Warrant); err != nil {
		return fail(ReasonMalformed, "%v", err)
	}
	if v.warrantEntry, err = ledger.ParseEntry(v.q.WarrantEntry); err != nil {
		return fail(ReasonMalformed, "%v", err)
	}
	if v.requestEntry, err = ledger.ParseEntry(v.q.RequestEntry); err != nil {
		return fail(ReasonMalformed, "%v", err)
	}
	if v.warrantEntry.Warrant == nil || v.requestEntry.Request == nil {
		return fail(ReasonMalformed, "entries are a %s and a %s", v.warrantEntry.Type(), v.requestEntry.Type())
	}
	return nil
}

// law takes the charter in force from the custodian's own ledger. A charter
// that was amended is not in force: a key it struck off must not approve.
func (v *vetting) law() *fault {
	c, ok := v.book.InForce(v.f.Charter, v.f.Now)
	if !ok {
		return fail(ReasonCharter, "no charter %q is in force", v.f.Charter)
	}
	v.charter, v.before = c, v.book.Versions(c.Hash())
	return nil
}

// stillLaw: it was not amended since it was looked up.
func (v *vetting) stillLaw() *fault {
	if c, _ := v.book.InForce(v.f.Charter, v.f.Now); c != v.charter {
		return fail(ReasonCharter, "charter %q was amended meanwhile", v.f.Charter)
	}
	return nil
}

// serves: this custodian is one of the law's, and the warrant is under it. A custodian
// whom an amendment struck off still answers for what was sealed to it before.
func (v *vetting) serves() *fault {
	c := v.charter
	var me *charter.Custodian
	v.versions = map[charter.Hash]*charter.Charter{}
	for _, version := range v.before {
		v.versions[version.Hash()] = version
		if me == nil {
			me = version.Custodian(v.f.Keys.office, v.f.Keys.custodian)
		}
	}
	if me == nil {
		return fail(ReasonCharter, "the charter has no custodian %s of %s", v.f.Keys.custodian, v.f.Keys.office)
	}
	if v.warrant.Charter != c.Hash() {
		return fail(ReasonCharter, "the warrant is under charter %s", v.warrant.Charter)
	}
	if c.Policy != v.f.Policy.String() {
		return fail(ReasonPolicy, "witness policy differs")
	}
	v.signing = me.Key
	return nil
}

// entryFits: the public entry says what the warrant says, in each field. So what
// was approved is this warrant.
func (v *vetting) entryFits() *fault {
	if field := v.warrantEntry.Warrant.Differs(v.warrant.Public(v.q.WarrantSalt, v.charter)); field != "" {
		return fail(ReasonEntry, "%s differs", field)
	}
	return nil
}

// approvals lets the warrant room judge form, law, limits and the approvals in
// the warrant entry. What it says of life and review date waits until the entries
// are proven.
func (v *vetting) approvals() *fault {
	_, err := warrant.Verify(v.warrant, v.q.WarrantSalt, v.warrantEntry.Warrant.Approvals, v.charter, v.f.Now)
	if err == nil {
		return nil
	}
	if r := reasonOf(err); r != ReasonLife && r != ReasonReview {
		return fail(r, "%v", err)
	}
	v.late = err
	return nil
}

// inclusion is R2: both entries under checkpoints that the witness policy
// accepts, with fresh cosignatures.
func (v *vetting) inclusion() (f *fault) {
	if v.warrantIn, f = v.include(v.q.WarrantEntry, v.q.WarrantProof); f != nil {
		return f
	}
	v.requestIn, f = v.include(v.q.RequestEntry, v.q.RequestProof)
	return f
}

func (v *vetting) include(entry, proof []byte) (*ledger.Included, *fault) {
	if _, err := v.f.Policy.Include(entry, proof, v.f.Now, 0); err != nil {
		return nil, fail(ReasonNotLogged, "%v", err)
	}
	in, err := v.f.Policy.Include(entry, proof, v.f.Now, freshness(v.charter))
	if err != nil {
		return nil, fail(ReasonStale, "%v", err)
	}
	return in, nil
}

func freshness(c *charter.Charter) time.Duration {
	return time.Duration(c.Limits.Freshness) * time.Second
}

// copyOfLedger finds both entries at the same place in the custodian's own
// copy, which has checked the docket's signatures: a log that shows a custodian
// and a requester different histories is found out here.
func (v *vetting) copyOfLedger() *fault {
	w, ok := v.book.Warrant(v.warrantIn.Index())
	if !ok || w.Hash != v.warrantEntry.Hash() {
		return fail(ReasonLedger, "no such warrant entry at %d", v.warrantIn.Index())
	}
	r, ok := v.book.Request(v.requestEntry.Hash())
	if !ok || r.Index != v.requestIn.Index() {
		return fail(ReasonLedger, "no such request entry at %d", v.requestIn.Index())
	}
	v.logged = w
	return nil
}

// requestFits: the request entry names the warrant entry.
func (v *vetting) requestFits() *fault {
	r := v.requestEntry.Request
	if r.WarrantIndex != v.warrantIn.Index() || r.Warrant != v.warrantEntry.Hash() {
		return fail(ReasonRequest, "it is for entry %d", r.WarrantIndex)
	}
	return nil
}

// life is R19 and R39, found in approvals.
func (v *vetting) life() *fault {
	if v.late != nil {
		return fail(reasonOf(v.late), "%v", v.late)
	}
	return nil
}

// standing is what the ledger says of the warrant since: cancelled, refused or
// not confirmed in review (R18), an error against it (R22). The ledger's order
// decides: an intent that comes after one of these does not count.
func (v *vetting) standing() *fault {
	switch w := v.logged; {
	case w.Cancelled:
		return fail(ReasonCancelled, "by an office that approved it")
	case w.Review == ledger.ReviewRefused:
		return fail(ReasonUnconfirmed, "it was refused in review")
	case v.book.Lapsed(w.Index, v.f.Now):
		return fail(ReasonUnconfirmed, "it was not confirmed by the time at which its review was due")
	case w.Error != 0:
		return fail(ReasonError, "%s", w.Error)
	}
	return nil
}

// renewal is R20: what is renewed is a warrant of the same person. That it still
// stood, the ledger has checked.
func (v *vetting) renewal() *fault {
	if err := v.warrant.CheckRenewal(v.q.Renewed); err != nil {
		return fail(ReasonRenewal, "%v", err)
	}
	return nil
}

// cap is R10, by the custodian's own count: the warrant's place among the
// warrants of its period, tests counted apart.
func (v *vetting) cap() *fault {
	if most := int(v.charter.Limits.CapSubjects); v.logged.Rank > most {
		return fail(ReasonCap, "it is number %d of at most %d", v.logged.Rank, most)
	}
	return nil
}

// action: something is kept only if the law has holds, for as long as it says and every
// version that sealed something of it (see narrow).
func (v *vetting) action() *fault {
	if v.warrant.Action == warrant.Preserve {
		return v.hold(v.charter)
	}
	return nil
}

// hold shortens a hold to what a version of the charter allows.
func (v *vetting) hold(c *charter.Charter) *fault {
	until := ledger.HoldUntil(&v.warrantEntry.Warrant.Public, c)
	if v.until == 0 || until < v.until {
		v.until = until
	}
	if v.f.Now.Unix() >= int64(v.until) {
		return fail(ReasonAction, "by version %d a hold would have ended at %d", c.Number, until)
	}
	return nil
}

// notice recomputes the leaves in the request entry byte for byte: exactly one
// for each compartment.
func (v *vetting) notice() *fault {
	leaves := make([][32]byte, len(v.q.Compartments))
	for i, c := range v.q.Compartments {
		leaves[i] = notice.Leaf(capsule.HashOf(c.Capsule), v.q.NoticeSalt)
	}
	slices.SortFunc(leaves, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	if !slices.Equal(leaves, v.requestEntry.Request.Leaves) {
		return fail(ReasonNotice, "%d compartments, %d leaves", len(leaves), len(v.requestEntry.Request.Leaves))
	}
	return nil
}

// round recomputes when the person is told, and the timelock that tells them,
// byte for byte: no share is released without a notice that works (R16).
func (v *vetting) round() *fault {
	if err := notice.Check(v.charter, v.warrant, v.requestEntry.Request, v.q.NoticeSalt); err != nil {
		return fail(ReasonRound, "%v", err)
	}
	return nil
}

func (v *vetting) result() *Authorization {
	r := v.requestEntry.Request
	return &Authorization{
		warrant: v.warrant, policy: v.f.Policy, fresh: freshness(v.charter), signing: v.signing, compared: v.sealed, until: v.until,
		intent: ledger.Release{RequestIndex: v.requestIn.Index(), Request: v.requestEntry.Hash(),
			Office: v.f.Keys.office, Custodian: v.f.Keys.custodian, Count: uint32(len(r.Leaves)), Root: r.Root()},
	}
}
