package unseal

import (
	"bytes"
	"crypto/hpke"
	"crypto/subtle"

	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/warrant"
)

// lawPeriod is a key period under one version of the charter.
type lawPeriod struct {
	law charter.Hash
	n   uint32
}

// period is a key period as one custodian sees it.
type period struct {
	access *charter.Access
	leaf   int
	key    *CustodianKey
	closed *fault // why the key is not there: the horizon passed, or it never was
}

// compartments checks that every label is within the warrant's scope, and keeps
// of each capsule what is needed to release from it.
func (v *vetting) compartments() *fault {
	for i, c := range v.q.Compartments {
		parsed, err := capsule.Parse(c.Capsule)
		if err != nil {
			return fail(ReasonCapsule, "compartment %d: %v", i, err)
		}
		l := parsed.Label()
		if f := v.scope(l, c.RosterProof); f != nil {
			return f
		}
		p, f := v.period(v.versions[l.Charter], lawPeriod{l.Charter, l.Period})
		if f != nil {
			return f
		}
		if n := len(p.access.Leaves()); len(parsed.Shares()) != n {
			return fail(ReasonCapsule, "compartment %d: %d shares for %d custodians", i, len(parsed.Shares()), n)
		}
		sealed := keep(parsed, p)
		if p.closed != nil {
			if sealed.kept = v.kept(sealed.hash); sealed.kept == nil {
				return p.closed
			}
		}
		v.sealed = append(v.sealed, sealed)
	}
	return nil
}

func keep(c *capsule.Capsule, p *period) sealedShare {
	s := c.Shares()[p.leaf]
	return sealedShare{
		hash: c.Hash(), ctx: capsule.Context(c.Label(), p.access), path: p.access.Leaves()[p.leaf].Path,
		period: lawPeriod{c.Label().Charter, c.Label().Period},
		share:  capsule.Share{Commitment: s.Commitment, Enc: bytes.Clone(s.Enc), Ciphertext: bytes.Clone(s.Ciphertext)},
	}
}

// scope is R3: the label is one the warrant names.
func (v *vetting) scope(l *capsule.Label, roster []byte) *fault {
	w := v.warrant
	start, end := w.Window()
	law := v.versions[l.Charter]
	switch {
	case law == nil || law.Mode == charter.NoAccess:
		return fail(ReasonScopeCharter, "epoch %d: sealed under charter %s", l.Epoch, l.Charter)
	case l.Opened < uint64(start.Unix()) || l.Opened >= uint64(end.Unix()):
		return fail(ReasonScopeWindow, "epoch %d: opened at %d", l.Epoch, l.Opened)
	case l.Period != law.Period(l.OpenedAt()):
		return fail(ReasonScopeCharter, "epoch %d: key period %d at %d", l.Epoch, l.Period, l.Opened)
	case !v.subject(l, roster):
		return fail(ReasonScopeSubject, "epoch %d: sent by %s", l.Epoch, l.Account)
	case !w.Covers(l.Conversation):
		return fail(ReasonScopeList, "epoch %d: conversation %x", l.Epoch, l.Conversation)
	case l.Flags&capsule.Privileged != 0 && (w.Flags&warrant.IsPrivileged == 0 || len(law.Privilege) == 0):
		return fail(ReasonPrivilege, "epoch %d: conversation %x is privileged", l.Epoch, l.Conversation)
	case w.Flags&warrant.IsTest != 0 && !warrant.Synthetic(l.Account):
		return fail(ReasonScopeTest, "epoch %d: sent by %s", l.Epoch, l.Account)
	}
	return nil
}

// subject reports whether the subject sent it or, where the direction is both,
// provably was a member of the conversation.
func (v *vetting) subject(l *capsule.Label, roster []byte) bool {
	if l.Account == v.warrant.Subject {
		return true
	}
	return v.warrant.Direction == warrant.SentAndReceived &&
		directory.VerifyRoster(l.Roster, v.warrant.Subject, roster) == nil
}

// kept returns the share of a compartment that a hold keeps. A hold is not made of
// another: it would go on for ever.
func (v *vetting) kept(h capsule.Hash) []byte {
	if v.f.Kept == nil || v.warrant.Action == warrant.Preserve {
		return nil
	}
	return v.f.Kept(v.book, h)
}

// period resolves a key period once: the structure with its public keys, this
// custodian's place in it, and its private key. The horizon is that of the version in
// force: no version has a longer one than those before it.
func (v *vetting) period(c *charter.Charter, at lawPeriod) (*period, *fault) {
	if p := v.periods[at]; p != nil {
		return p, nil
	}
	if f := v.narrow(c); f != nil {
		return nil, f
	}
	access, err := c.Access(at.n, v.book.Keys(c.Name, at.n))
	if err != nil {
		return nil, fail(ReasonCapsule, "%v", err)
	}
	me := v.f.Keys
	for i, l := range access.Leaves() {
		if l.Office == me.office && l.Custodian == me.custodian {
			p := &period{access: access, leaf: i, key: me.keys[at.n]}
			p.closed = v.closed(c, at.n, p.key, l.PublicKey)
			v.periods[at] = p
			return p, nil
		}
	}
	return nil, fail(ReasonKey, "key period %d", at.n)
}

// closed is why a period's key opens nothing any more, or never did.
func (v *vetting) closed(c *charter.Charter, n uint32, key *CustodianKey, public []byte) *fault {
	switch me := v.f.Keys; {
	case v.f.Now.Unix() > int64(v.charter.DestroyBy(n)) || v.book.Destroyed(c.Name, me.office, me.custodian, n):
		return fail(ReasonHorizon, "key period %d", n)
	case key == nil || !bytes.Equal(public, key.Public()):
		return fail(ReasonKey, "key period %d", n)
	}
	return nil
}

// narrow: what was sealed under an earlier version keeps that version's limits
// beside those in force.
func (v *vetting) narrow(c *charter.Charter) *fault {
	if c == v.charter {
		return nil
	}
	if err := v.warrant.Fits(c); err != nil {
		return fail(ReasonScopeCharter, "by version %d, under which was sealed: %v", c.Number, err)
	}
	rank, most := v.book.RankUnder(v.logged.Index, c.Hash()), int(c.Limits.CapSubjects)
	switch {
	case rank == 0:
		return fail(ReasonCap, "version %d, under which was sealed, has no place for it in the copy of the ledger", c.Number)
	case rank > most:
		return fail(ReasonCap, "by version %d, under which was sealed, it is number %d of at most %d", c.Number, rank, most)
	}
	if v.warrant.Action == warrant.Preserve {
		return v.hold(c)
	}
	return nil
}

// shares opens this custodian's share of every compartment on trial: no intent
// is logged that can't be kept.
func (v *vetting) shares() *fault {
	for _, s := range v.sealed {
		share, err := s.open(v.periods[s.period].key)
		if err != nil {
			return fail(ReasonShare, "capsule %s: %v", s.hash, err)
		}
		clear(share)
	}
	return nil
}

// open opens a share under exactly its label, or takes the one kept, and compares its
// commitment (R4).
func (s *sealedShare) open(k *CustodianKey) (share []byte, err error) {
	if share = bytes.Clone(s.kept); share == nil {
		share, err = s.unseal(k)
	}
	if err != nil {
		return nil, err
	}
	want := capsule.Commitment(s.ctx, s.path, share)
	if len(share) != capsule.ShareSize || subtle.ConstantTimeCompare(want[:], s.share.Commitment[:]) != 1 {
		clear(share)
		return nil, invalid("share does not match its commitment")
	}
	return share, nil
}

func (s *sealedShare) unseal(k *CustodianKey) ([]byte, error) {
	r, err := hpke.NewRecipient(s.share.Enc, k.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), s.ctx[:])
	if err != nil {
		return nil, err
	}
	return r.Open(s.share.Commitment[:], s.share.Ciphertext)
}

// openWith opens a share with the keys as they are now: one may be gone since the request
// was authorised.
func (s *sealedShare) openWith(keys *Keyring) ([]byte, error) {
	key := keys.keys[s.period.n]
	if key == nil && s.kept == nil {
		return nil, refused("no key of period %d", s.period.n)
	}
	return s.open(key)
}
