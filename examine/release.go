package examine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// tries is how often a service that can't answer now is asked.
const tries = 4

// answer is what came back from one custodian.
type answer struct {
	who     string
	release *Release
	shares  []unseal.Share
	refusal *Refusal
	err     error
}

// unsealed reads on in the ledger and refuses a request of which nothing may be
// read. Custodians refuse it too, but one that answered before gives the same
// answer again.
func (x *examiner) unsealed(ctx context.Context) error {
	if err := x.Ledger.Refresh(ctx); err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	var why string
	var sealed bool
	x.Ledger.View(func(b *ledger.Book) { why, sealed = b.Sealed(ledger.HashEntry(x.out.RequestEntry.Entry), x.Now()) })
	if sealed {
		return fmt.Errorf("%w: %s", ErrSealed, why)
	}
	return nil
}

// release asks all custodians at once and keeps their answers.
func (x *examiner) release(ctx context.Context) error {
	if err := x.unsealed(ctx); err != nil {
		return err
	}
	answers := x.ask(ctx)
	blocked := &BlockedError{Unreachable: map[string]error{}}
	set := map[string]bool{}
	for _, a := range answers {
		switch {
		case a.err != nil:
			blocked.Unreachable[a.who] = a.err
		case a.refusal != nil:
			blocked.Refusals = append(blocked.Refusals, *a.refusal)
		default:
			blocked.Released = append(blocked.Released, a.who)
			set[a.release.Custodian] = true
			x.out.Releases = append(x.out.Releases, *a.release)
			x.shares = append(x.shares, a.shares...)
		}
	}
	x.out.Refusals, x.out.Failed = blocked.Refusals, blocked.Unreachable
	for _, at := range x.versions() {
		access, err := x.access(at)
		if err != nil {
			return err
		}
		if !access.Satisfied(set) {
			return blocked
		}
	}
	return nil
}

// ask sends the request to every custodian that has an address, of the version of the
// charter under which was sealed: a request is for one version.
func (x *examiner) ask(ctx context.Context) []answer {
	var waiting sync.WaitGroup
	var mu sync.Mutex
	var answers []answer
	for _, o := range x.version(x.versions()[0].law).Offices {
		for _, c := range o.Custodians {
			who := o.ID + "/" + c.ID
			client, ok := x.Custodians[who]
			if !ok {
				continue
			}
			waiting.Go(func() {
				a := x.askOne(ctx, o.ID, c.ID, client)
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, a)
				x.Progress(Progress{Stage: "release", Who: who, Done: len(answers), Total: len(x.Custodians)})
			})
		}
	}
	waiting.Wait()
	slices.SortFunc(answers, func(a, b answer) int { return strings.Compare(a.who, b.who) })
	return answers
}

// askOne asks one custodian, again while it says that it can't answer now. One that never
// answers keeps the others' shares waiting no longer than [Config.Patience].
func (x *examiner) askOne(ctx context.Context, office, custodian string, client api.CustodianClient) answer {
	ctx, cancel := context.WithTimeout(ctx, x.Patience)
	defer cancel()
	a := answer{who: office + "/" + custodian}
	a.err = again(ctx, func() (err error) {
		a.release, a.shares, a.refusal, err = x.askOnce(ctx, office, custodian, client)
		return err
	})
	return a
}

// again repeats a call a few times while its answer is that it can't be given now.
func again(ctx context.Context, call func() error) (err error) {
	for try := range tries {
		if err = call(); err == nil || connect.CodeOf(err) != connect.CodeUnavailable || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		}
	}
	return err
}

func (x *examiner) askOnce(ctx context.Context, office, custodian string, client api.CustodianClient) (*Release, []unseal.Share, *Refusal, error) {
	sealed, err := x.sealedRequest(ctx, office, custodian)
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := client.Release(ctx, &api.ReleaseRequest{SealedRequest: sealed})
	if err != nil {
		return nil, nil, nil, err
	}
	if r := out.GetRefused(); r != nil {
		refusal, err := x.refused(office, custodian, r)
		return nil, nil, refusal, err
	}
	if k := out.GetKept(); k != nil && x.c.Warrant.Action == warrant.Preserve {
		kept, shares, err := x.kept(office, custodian, k)
		return kept, shares, nil, err
	}
	release, shares, err := x.granted(office, custodian, out.GetGranted())
	return release, shares, nil, err
}

// sealedRequest packs the request for one custodian, with fresh proofs.
func (x *examiner) sealedRequest(ctx context.Context, office, custodian string) ([]byte, error) {
	w, err := x.proven(ctx, x.out.WarrantEntry.Index)
	if err != nil {
		return nil, err
	}
	r, err := x.proven(ctx, x.out.RequestEntry.Index)
	if err != nil {
		return nil, err
	}
	q := &unseal.Request{Warrant: x.out.Warrant, WarrantSalt: x.c.Salt, Renewed: x.c.Renewed,
		WarrantEntry: w.Entry, WarrantProof: w.Proof, RequestEntry: r.Entry, RequestProof: r.Proof, NoticeSalt: x.out.NoticeSalt}
	for _, c := range x.out.Compartments {
		q.Compartments = append(q.Compartments, unseal.Compartment{Capsule: c.Capsule, RosterProof: c.RosterProof})
	}
	return seal(x.custodian(office, custodian), office, q)
}

// granted verifies a release: who signed it, that its intent was logged, and
// that it opens with the reader key.
func (x *examiner) granted(office, custodian string, g *api.Granted) (*Release, []unseal.Share, error) {
	r, err := unseal.ParseRelease(g.GetRelease())
	if err != nil {
		return nil, nil, fmt.Errorf("examine: %w", err)
	}
	in, err := x.Ledger.Policy().Include(g.GetIntent(), g.GetIntentProof(), x.Now(), 0)
	if err != nil {
		return nil, nil, fmt.Errorf("examine: intent of %s: %w", custodian, err)
	}
	key := x.custodian(office, custodian).Key
	intent, request := in.Entry().Release, ledger.HashEntry(x.out.RequestEntry.Entry)
	switch {
	case r.Office != office || r.Custodian != custodian || r.Request != request:
		return nil, nil, fmt.Errorf("examine: invalid: %s answered with a release of another", custodian)
	case intent == nil || intent.Office != office || intent.Custodian != custodian || intent.Request != request ||
		in.Index() != r.Intent || !intent.Verify(key):
		return nil, nil, fmt.Errorf("examine: invalid: the release of %s has no logged intent", custodian)
	}
	shares, err := unseal.OpenRelease(r, x.c.Reader, key)
	if err != nil {
		return nil, nil, fmt.Errorf("examine: %w", err)
	}
	if len(shares) != len(x.out.Compartments) {
		return nil, nil, fmt.Errorf("examine: invalid: %s released %d shares of %d", custodian, len(shares), len(x.out.Compartments))
	}
	return &Release{Office: office, Custodian: custodian, Release: g.GetRelease(),
		Intent: Proven{Entry: g.GetIntent(), Proof: g.GetIntentProof(), Index: in.Index()}}, shares, nil
}

// refused verifies a refusal. One that is not signed is no refusal: the custodian does not
// see that the docket signed the request, or that this warrant is meant.
func (x *examiner) refused(office, custodian string, r *api.Refused) (*Refusal, error) {
	if len(r.Refusal) == 0 {
		return nil, fmt.Errorf("examine: %s refuses and signs nothing, as to a stranger: %s", custodian, unseal.Reason(r.Reason))
	}
	e, err := ledger.ParseEntry(r.Refusal)
	if err != nil {
		return nil, fmt.Errorf("examine: refusal of %s: %w", custodian, err)
	}
	key := x.custodian(office, custodian).Key
	if f := e.Refusal; f == nil || f.Office != office || f.Custodian != custodian ||
		f.Request != ledger.HashEntry(x.out.RequestEntry.Entry) || !f.Verify(key) {
		return nil, fmt.Errorf("examine: invalid: the refusal is not of %s", custodian)
	}
	return &Refusal{Office: office, Custodian: custodian, Entry: r.Refusal, Reason: unseal.Reason(e.Refusal.Reason), Logged: r.Logged}, nil
}

// combine opens compartment by compartment.
func (x *examiner) combine(context.Context) error {
	byCapsule := map[capsule.Hash][]unseal.Share{}
	for _, s := range x.shares {
		byCapsule[s.Capsule] = append(byCapsule[s.Capsule], s)
	}
	combiners := map[sealedUnder]*unseal.Combiner{}
	for i := range x.out.Compartments {
		x.Progress(Progress{Stage: "combine", Done: i, Total: len(x.out.Compartments)})
		if err := x.combineOne(&x.out.Compartments[i], byCapsule, combiners); err != nil {
			return err
		}
	}
	slices.Sort(x.out.Bad)
	x.out.Bad = slices.Compact(x.out.Bad)
	return nil
}

func (x *examiner) combineOne(c *Compartment, shares map[capsule.Hash][]unseal.Share, combiners map[sealedUnder]*unseal.Combiner) error {
	parsed, err := capsule.Parse(c.Capsule)
	if err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	at := sealedUnder{parsed.Label().Charter, parsed.Label().Period}
	if combiners[at] == nil {
		access, err := x.access(at)
		if err != nil {
			return err
		}
		if combiners[at], err = unseal.NewCombiner(access); err != nil {
			return fmt.Errorf("examine: %w", err)
		}
	}
	ratchet, senderData, bad, err := combiners[at].Combine(c.Capsule, shares[parsed.Hash()])
	x.out.Bad = append(x.out.Bad, bad...)
	if errors.Is(err, unseal.ErrForged) {
		c.Forged = err
		c.Shares = combiners[at].Good(parsed, shares[parsed.Hash()])
		return nil
	}
	if err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	c.Ratchet, c.SenderData = ratchet, senderData
	return nil
}
