package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/ledger"
	"writ/notice"
	"writ/warrant"
)

// verifier is one run of Verify: each step uses what those before it found.
type verifier struct {
	c      *Contents
	policy *ledger.Policy
	firsts []charter.Hash
	report *Report

	law        *charter.Charter        // charters: that of the warrant
	versions   []*charter.Charter      // it and those before it, the newest first
	statements []*charter.KeyStatement // keys
	warrant    *warrant.Warrant        // entries
	warrantIn  *ledger.Included
	requestIn  *ledger.Included
	released   map[string]bool                 // releases, by custodian
	times      []time.Time                     // when their intents were logged at the latest
	sealers    map[sealedUnder]*capsule.Sealer // compartments
	signers    []signer                        // those of opened compartments
	listed     map[string]*listed              // accounts
	why        error                           // what there is to say of an account that is not listed
}

// sealedUnder is the version of the law and the key period of some compartments.
type sealedUnder struct {
	law    charter.Hash
	period uint32
}

// Verify checks everything in a bundle against a witness policy, without a
// server and at any time. Its error wraps [wire.ErrMalformed], or is a
// [*CheckError] with the first check that failed. A bundle that verifies can
// still be incomplete: see [Report.Missing].
//
// Firsts are the hashes of the first versions of the laws that the reader knows.
// Without any, every law on the log is taken, also one that the notary made for
// itself; the report then leaves it to the reader to compare its fingerprint.
func Verify(b []byte, policy *ledger.Policy, firsts ...charter.Hash) (*Report, error) {
	c, err := parse(b)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	v := &verifier{c: c, policy: policy, firsts: firsts, released: map[string]bool{}, listed: map[string]*listed{}, sealers: map[sealedUnder]*capsule.Sealer{},
		report: &Report{SHA256: hex.EncodeToString(sum[:]), Size: len(b), Limits: limits}}
	for _, step := range []func() error{v.charters, v.keys, v.entries, v.fields, v.releases, v.approvals, v.readings, v.leaves, v.compartments, v.accounts, v.whose, v.needed} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	v.conclude()
	return v.report, nil
}

// fail makes the error of a check. Where may be empty.
func fail(check, where, format string, args ...any) error {
	return &CheckError{check, where, fmt.Errorf(format, args...)}
}

// include verifies the proof of one entry (BUN-2). Any time counts: the
// evidence may be old.
func (v *verifier) include(check, where string, p Proven, want ledger.Type) (*ledger.Included, error) {
	in, err := v.policy.Include(p.Entry, p.Proof, time.Time{}, 0)
	if err != nil {
		return nil, &CheckError{check, where, err}
	}
	if t := in.Entry().Type(); t != want {
		return nil, fail(check, where, "entry %d of the log is a %s, not a %s", in.Index(), t, want)
	}
	return in, nil
}

// included verifies a list of entries that stand on the log in this order.
func (v *verifier) included(check, item string, list []Proven, want ledger.Type, each func(where string, in *ledger.Included) error) error {
	next := uint64(0)
	for i, p := range list {
		where := fmt.Sprintf("%s %d", item, i+1)
		in, err := v.include(check, where, p, want)
		if err != nil {
			return err
		}
		if in.Index() < next {
			return fail(check, where, "not in the order of the log")
		}
		next = in.Index() + 1
		if err := each(where, in); err != nil {
			return err
		}
	}
	return nil
}

// charters is BUN-3: a chain from version 1, each version put into force by the
// one before it, and the last one names the policy.
func (v *verifier) charters() error {
	err := v.included(checkCharter, "version", v.c.Charters, ledger.TypeCharter, func(where string, in *ledger.Included) (err error) {
		first := v.law == nil
		if v.law, err = in.Entry().Charter.Verify(v.versions...); err != nil {
			return &CheckError{checkCharter, where, err}
		}
		v.versions = slices.Insert(v.versions, 0, v.law)
		if first && len(v.firsts) > 0 && !slices.Contains(v.firsts, v.law.Hash()) {
			return fail(checkCharter, where, "it is the law %s, which the reader does not know", v.law.Hash())
		}
		v.report.Charter.Index = in.Index()
		return nil
	})
	switch {
	case err != nil:
		return err
	case v.law == nil:
		return fail(checkCharter, "", "there is none")
	case v.law.Policy != v.policy.String():
		return fail(checkPolicy, "", "the charter names another log or other witnesses than the policy given")
	}
	v.passed(checkCharter, len(v.c.Charters))
	v.passed(checkPolicy, len(v.policy.Witnesses()))
	return nil
}

// keys takes the custodians' key statements that stand outside charters. Which
// of them count is for [charter.Charter.Access].
func (v *verifier) keys() error {
	return v.included(checkKeys, "key statement", v.c.Keys, ledger.TypeCustodianKey, func(where string, in *ledger.Included) error {
		k := in.Entry().CustodianKey
		if k.CharterName != v.law.Name {
			return fail(checkKeys, where, "it is for charter %q", k.CharterName)
		}
		v.statements = append(v.statements, k)
		return nil
	})
}

// entries verifies that warrant and request are on the log, the warrant first,
// and signed by the docket.
func (v *verifier) entries() (err error) {
	if v.warrant, err = warrant.Parse(v.c.Warrant); err != nil {
		return &CheckError{checkWarrant, "", err}
	}
	if v.warrantIn, err = v.include(checkWarrant, "", v.c.WarrantEntry, ledger.TypeWarrant); err != nil {
		return err
	}
	if v.requestIn, err = v.include(checkRequest, "", v.c.RequestEntry, ledger.TypeRequest); err != nil {
		return err
	}
	r := v.requestIn.Entry().Request
	switch {
	case !v.warrantIn.Entry().Warrant.Verify(v.law.Docket):
		return fail(checkWarrant, "", "the entry is not signed by the charter's docket")
	case !r.Verify(v.law.Docket):
		return fail(checkRequest, "", "the entry is not signed by the charter's docket")
	case r.WarrantIndex != v.warrantIn.Index() || r.Warrant != v.warrantIn.Entry().Hash():
		return fail(checkRequest, "", "it is for another warrant, entry %d of the log", r.WarrantIndex)
	case v.requestIn.Index() <= v.warrantIn.Index():
		return fail(checkRequest, "", "it stands before its warrant on the log")
	}
	return nil
}

// fields is the first part of BUN-4: the public entry says what the warrant
// says, and that is to disclose.
func (v *verifier) fields() error {
	if v.warrant.Action != warrant.Disclose {
		return fail(checkWarrant, "", "it asks for something else than to disclose")
	}
	public := v.warrant.Public(v.c.WarrantSalt, v.law)
	if field := v.warrantIn.Entry().Warrant.Differs(public); field != "" {
		return fail(checkWarrant, "", "the warrant and its entry on the log differ in their %s", field)
	}
	v.passed(checkWarrant, 1)
	return nil
}

// releases is BUN-5 but for the structure: each custodian signed that it
// releases for exactly this request, and logged that after the request and
// within the warrant's life.
func (v *verifier) releases() error {
	request, hash := v.requestIn.Entry().Request, v.requestIn.Entry().Hash()
	for i, p := range v.c.Releases {
		where := fmt.Sprintf("release %d", i+1)
		in, err := v.include(checkReleases, where, p, ledger.TypeRelease)
		if err != nil {
			return err
		}
		r, t := in.Entry().Release, in.Checkpoint().Time()
		k := v.custodian(r.Office, r.Custodian)
		switch {
		case k == nil || !r.Verify(k.Key):
			return fail(checkReleases, where, "not signed by a custodian of the charter")
		case v.released[r.Custodian]:
			return fail(checkReleases, where, "%s stands here twice", r.Custodian)
		case r.Request != hash || r.RequestIndex != v.requestIn.Index():
			return fail(checkReleases, where, "%s released for another request", r.Custodian)
		case int(r.Count) != len(request.Leaves) || r.Root != request.Root():
			return fail(checkReleases, where, "%s released other compartments than those requested", r.Custodian)
		case in.Index() <= v.requestIn.Index():
			return fail(checkReleases, where, "%s released before the request was on the log", r.Custodian)
		}
		v.released[r.Custodian], v.times = true, append(v.times, t)
		v.report.Releases = append(v.report.Releases, ReleaseFacts{r.Office, k.ID, in.Index(), utc(t.Unix())})
	}
	if len(v.times) == 0 {
		return fail(checkReleases, "", "no custodian released anything")
	}
	return nil
}

// approvals is the other part of BUN-4 and the times of BUN-2: warrant and the
// approvals in its entry hold under the charter at every moment at which a custodian
// released.
func (v *verifier) approvals() error {
	approvals := v.warrantIn.Entry().Warrant.Approvals
	for i, t := range v.times {
		if _, err := warrant.Verify(v.warrant, v.c.WarrantSalt, approvals, v.law, t); err != nil {
			return &CheckError{checkApprovals, fmt.Sprintf("at the time of release %d", i+1), err}
		}
	}
	for _, a := range approvals {
		v.report.Warrant.Approvals = append(v.report.Warrant.Approvals,
			ApprovalFacts{a.Office, v.law.Office(a.Office).Title, a.Approver})
	}
	v.passed(checkApprovals, len(approvals))
	return nil
}

// leaves recomputes what the request says: exactly one leaf for each
// compartment of the bundle, and when their person is told.
func (v *verifier) leaves() error {
	leaves := make([][32]byte, len(v.c.Compartments))
	for i, c := range v.c.Compartments {
		leaves[i] = notice.Leaf(capsule.HashOf(c.Capsule), v.c.NoticeSalt)
	}
	slices.SortFunc(leaves, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	if want := v.requestIn.Entry().Request.Leaves; !slices.Equal(leaves, want) {
		return fail(checkRequest, "", "the %d compartments here are not the %d of the request", len(leaves), len(want))
	}
	if err := notice.Check(v.law, v.warrant, v.requestIn.Entry().Request, v.c.NoticeSalt); err != nil {
		return &CheckError{checkRequest, "", err}
	}
	v.passed(checkRequest, len(leaves))
	return nil
}

// sealer resolves the access structure under which was sealed once, and lets the
// releases satisfy it.
func (v *verifier) sealer(where string, l *capsule.Label) (*capsule.Sealer, error) {
	at := sealedUnder{l.Charter, l.Period}
	if s := v.sealers[at]; s != nil {
		return s, nil
	}
	access, err := v.version(l.Charter).Access(l.Period, v.statements)
	if err != nil {
		return nil, &CheckError{checkKeys, where, err}
	}
	if !access.Satisfied(v.released) {
		return nil, fail(checkReleases, where, "the %d custodians that released are not enough by the charter", len(v.released))
	}
	if v.sealers[at], err = capsule.NewSealer(access); err != nil {
		return nil, &CheckError{checkKeys, where, err}
	}
	return v.sealers[at], nil
}

// version returns the version of the law with a hash, or nil.
func (v *verifier) version(h charter.Hash) *charter.Charter {
	for _, c := range v.versions {
		if c.Hash() == h {
			return c
		}
	}
	return nil
}

// custodian returns a custodian as the newest version says that has one of that name, or
// nil: one whom an amendment struck off answers for what was sealed before.
func (v *verifier) custodian(office, id string) *charter.Custodian {
	for _, c := range v.versions {
		if k := c.Custodian(office, id); k != nil {
			return k
		}
	}
	return nil
}
