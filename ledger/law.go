package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"writ/charter"
	"writ/warrant"
)

// law is a version of a charter that counts.
type law struct {
	charter *charter.Charter
	hash    charter.Hash
	index   uint64
	seen    time.Time // when this reader first saw it
	active  time.Time // when it comes into force, for this reader
	prev    *law
}

// Charter returns a version of a charter by its hash.
func (b *Book) Charter(h charter.Hash) (*charter.Charter, bool) {
	l, ok := b.laws[h]
	if !ok {
		return nil, false
	}
	return l.charter, true
}

// Versions returns a version of a charter by its hash and those before it, the
// newest first; none if it is unknown.
func (b *Book) Versions(h charter.Hash) []*charter.Charter { return b.laws[h].versions() }

func (l *law) versions() (versions []*charter.Charter) {
	for ; l != nil; l = l.prev {
		versions = append(versions, l.charter)
	}
	return versions
}

// Names returns the names of the charters on the log, sorted.
func (b *Book) Names() []string { return slices.Sorted(maps.Keys(b.heads)) }

// Head returns the newest version of the charter of a name, which need not be
// in force yet.
func (b *Book) Head(name string) (*charter.Charter, bool) {
	l, ok := b.heads[name]
	if !ok {
		return nil, false
	}
	return l.charter, true
}

// InForce returns the version of the charter of a name that is in force: the
// newest whose activation delay is over. The delay is that of the version
// before it, and runs once this reader has seen the one and the other is in
// force: a version that still waits gives nobody its shorter delay. A first
// version is in force at once: there is no older law that it could break by
// surprise.
//
// While a version waits the one before it is in force, but only for a reader
// who saw that one earlier. Who finds both at one moment can't know how long
// they stood there, and acts on neither.
func (b *Book) InForce(name string, now time.Time) (*charter.Charter, bool) {
	var next *law
	for l := b.heads[name]; l != nil; next, l = l, l.prev {
		if l.active.After(now) {
			continue
		}
		if next != nil && !l.seen.Before(next.seen) {
			break
		}
		return l.charter, true
	}
	return nil, false
}

// Watchers returns the witness policy that has taken the place of another: that of the
// version in force of the law of which some version has the other. It is the other itself if
// no law has it, or if two laws that have it now name different ones.
func (b *Book) Watchers(policy string, now time.Time) string {
	found := ""
	for name, head := range b.heads {
		has := func(c *charter.Charter) bool { return c.Policy == policy }
		c, ok := b.InForce(name, now)
		switch {
		case !ok || !slices.ContainsFunc(head.versions(), has):
		case found != "" && found != c.Policy:
			return policy
		default:
			found = c.Policy
		}
	}
	return cmp.Or(found, policy)
}

// Actionable returns nil if the warrant entry at an index may be acted on now, as far
// as the log tells: it counts, the version of the charter it stands under is in force,
// and its rank is within the cap.
func (b *Book) Actionable(index uint64, h EntryHash, now time.Time) error {
	w, ok := b.warrants.get(index)
	if !ok || w.Hash != h {
		return refused("no such warrant entry at %d", index)
	}
	c := b.laws[w.Charter].charter
	if law, ok := b.InForce(c.Name, now); !ok || law.Hash() != w.Charter {
		return refused("version %d of the charter is not in force", c.Number)
	}
	if w.Rank > int(c.Limits.CapSubjects) {
		return refused("it is number %d of at most %d", w.Rank, c.Limits.CapSubjects)
	}
	return nil
}

// Keys returns the statements of all custodians' keys for a period of the
// charter of a name, in the order of the log, as [charter.Charter.Access] wants
// them.
func (b *Book) Keys(name string, period uint32) []*charter.KeyStatement {
	return b.keys.from(keyPeriod{name, period}, 0)
}

// Key returns the first statement of a custodian's key for a period that holds
// under the newest version of the charter, or under an older one if the
// newest has none.
func (b *Book) Key(name, office, custodian string, period uint32) (*charter.KeyStatement, bool) {
	for l := b.heads[name]; l != nil; l = l.prev {
		if k := b.keyUnder(l, office, custodian, period); k != nil {
			return k, true
		}
	}
	return nil, false
}

// Destroyed reports whether a custodian stated that its private key of a
// period is gone.
func (b *Book) Destroyed(name, office, custodian string, period uint32) bool {
	_, gone := b.gone.get(custodianPeriod{name, office, custodian, period})
	return gone
}

// DestroyBy returns the Unix time by which the private keys of a period must be gone,
// by the newest version that came into force for this reader. A reader who can't know
// how long a version stood there ([Book.InForce]) takes an older one here, whose horizon
// is no shorter: no version lengthens it. It is false for an unknown law.
func (b *Book) DestroyBy(name string, period uint32, now time.Time) (at uint64, ok bool) {
	for l := b.heads[name]; l != nil; l = l.prev {
		if !l.active.After(now) {
			return l.charter.DestroyBy(period), true
		}
	}
	return 0, false
}

// Overdue returns a finding for each key, and each hold, that should have been destroyed
// by now and is not stated to be. The statement has the charter's freshness to get on the
// log.
func (b *Book) Overdue(now time.Time) []Finding {
	var late []Finding
	for k := range b.standing.rows {
		grace := time.Duration(b.heads[k.charter].charter.Limits.Freshness) * time.Second
		if due, ok := b.DestroyBy(k.charter, k.period, now.Add(-grace)); ok && now.Add(-grace).Unix() > int64(due) {
			late = append(late, Finding{b.size, TypeDestruction.String(), "LED-60",
				fmt.Sprintf("key of %s of %s for period %d is not destroyed", k.custodian, k.office, k.period)})
		}
	}
	slices.SortFunc(late, func(x, y Finding) int { return cmp.Compare(x.Problem, y.Problem) })
	return append(late, b.overdueHolds(now)...)
}

func (b *Book) charter(s *charter.Signed, index uint64, seen time.Time) (func(), error) {
	c, err := charter.Parse(s.Charter)
	if err != nil {
		return nil, err
	}
	l := &law{hash: s.Hash(), index: index, seen: seen, active: seen, prev: b.heads[c.Name]}
	before := l.prev.versions()
	if l.prev != nil {
		if l.prev.active.After(seen) {
			l.active = l.prev.active
		}
		l.active = l.active.Add(time.Duration(before[0].Limits.ActivationDelay) * time.Second)
	} else if len(b.firsts) > 0 && !slices.Contains(b.firsts, l.hash) {
		return nil, refused("a first charter that nobody named: %v", l.hash)
	}
	if l.charter, err = s.Verify(before...); err != nil {
		return nil, err
	}
	if err := checkPolicies(c, before); err != nil {
		return nil, err
	}
	if err := checkCounts(c, before); err != nil {
		return nil, err
	}
	return func() { b.enact(l) }, nil
}

// checkCounts refuses a version with which a warrant could count in more than
// [charter.MaxCapPeriods]: warrants of each version count by the cap periods of all. Who makes one
// law could otherwise have each reader of the log count without end.
func checkCounts(c *charter.Charter, before []*charter.Charter) error {
	if c.Mode == charter.NoAccess {
		return nil
	}
	for _, v := range before {
		life, period := max(c.Limits.MaxWarrantLife, v.Limits.MaxWarrantLife), min(c.Limits.CapPeriod, v.Limits.CapPeriod)
		if life > charter.MaxCapPeriods*period {
			return invalid("beside version %d a warrant may live for more than %d cap periods", v.Number, charter.MaxCapPeriods)
		}
	}
	return nil
}

// checkPolicies checks the witness policies of both logs, which are two, and the
// same in all versions; witnesses and quorums may change. In another directory the
// history of an account's devices would begin anew, as its writer likes it.
func checkPolicies(c *charter.Charter, before []*charter.Charter) error {
	ledger, err := checkPolicy(c, c.Policy)
	if err != nil {
		return err
	}
	directory, err := checkPolicy(c, c.Directory.Policy)
	switch {
	case err != nil:
		return fmt.Errorf("the directory: %w", err)
	case ledger.keys[directory.logKey] || directory.keys[ledger.logKey]:
		return invalid("the keys of ledger and directory are not distinct")
	case len(before) == 0:
		return nil
	}
	if !ledger.sameLog(before[0].Policy) {
		return invalid("the policy names another log than the version before: %s", ledger.logVKey)
	}
	if !directory.sameLog(before[0].Directory.Policy) || before[0].Directory.VRF != c.Directory.VRF {
		return invalid("another directory than in the version before")
	}
	return nil
}

func (p *Policy) sameLog(text string) bool {
	was, err := ParsePolicy(text)
	return err == nil && was.logVKey == p.logVKey
}

// checkPolicy refuses a witness policy that does not parse, or in which a party of
// the charter writes the log or watches over it.
func checkPolicy(c *charter.Charter, text string) (*Policy, error) {
	p, err := ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	for key := range p.keys {
		if c.HasKey([]byte(key)) {
			return nil, invalid("the policy names a key of the charter: %x", key)
		}
	}
	return p, nil
}

func (b *Book) enact(l *law) {
	b.laws[l.hash], b.heads[l.charter.Name] = l, l
	b.enacted.put(l.index, enacted{l.seen, l.active})
	b.statistics.law(l.charter.Name).Versions++
	for _, k := range l.charter.Keys {
		if err := b.newKey(l, k); err != nil {
			b.find(l.index, TypeCharter, err)
			continue
		}
		b.addKey(k)
	}
}

func (b *Book) custodianKey(k *charter.KeyStatement) (func(), error) {
	err := invalid("key for an unknown charter %q", k.CharterName)
	for l := b.heads[k.CharterName]; l != nil; l = l.prev {
		if err = k.Verify(l.charter); err == nil {
			if err := b.newKey(l, k); err != nil {
				return nil, err
			}
			return func() { b.addKey(k) }, nil
		}
	}
	return nil, err
}

// newKey refuses a second key of a custodian for a period, and a key of which a
// half was used before, by another or in another period. A custodian with a new
// signing key may state the same key again.
func (b *Book) newKey(l *law, k *charter.KeyStatement) error {
	old := b.keyUnder(l, k.Office, k.Custodian, k.Period)
	if old != nil && !bytes.Equal(old.Encode(), k.Encode()) {
		return invalid("second key of %s of %s for period %d", k.Custodian, k.Office, k.Period)
	}
	for _, half := range k.Halves() {
		by, _ := b.halves.get(rawKey{k.CharterName, sha256.Sum256(half)})
		if by != nil && (by.Office != k.Office || by.Custodian != k.Custodian || by.Period != k.Period) {
			return invalid("key of %s for period %d is in use: %s has it for period %d", k.Custodian, k.Period, by.Custodian, by.Period)
		}
	}
	return nil
}

func (b *Book) addKey(k *charter.KeyStatement) {
	stated := b.Keys(k.CharterName, k.Period)
	if slices.ContainsFunc(stated, func(old *charter.KeyStatement) bool { return bytes.Equal(old.Encode(), k.Encode()) }) {
		return
	}
	b.keys.add(keyPeriod{k.CharterName, k.Period}, k)
	for _, half := range k.Halves() {
		b.halves.put(rawKey{k.CharterName, sha256.Sum256(half)}, k)
	}
	if at := (custodianPeriod{k.CharterName, k.Office, k.Custodian, k.Period}); !b.Destroyed(k.CharterName, k.Office, k.Custodian, k.Period) {
		b.standing.put(at, none{})
	}
	b.statistics.law(k.CharterName).CustodianKeys++
}

func (b *Book) keyUnder(l *law, office, custodian string, period uint32) *charter.KeyStatement {
	for _, k := range b.Keys(l.charter.Name, period) {
		if k.Office == office && k.Custodian == custodian && k.Verify(l.charter) == nil {
			return k
		}
	}
	return nil
}

func (b *Book) destruction(x *Destruction) (func(), error) {
	var laws []*law
	if l := b.heads[x.CharterName]; l != nil {
		laws = []*law{l}
	}
	at := custodianPeriod{x.CharterName, x.Office, x.Custodian, x.Period}
	_, known := b.Key(x.CharterName, x.Office, x.Custodian, x.Period)
	switch {
	case b.signedUnder(x.Office, x.Custodian, x.Verify, laws) == nil:
		return nil, invalid("destruction not signed by a custodian of the charter")
	case !known:
		return nil, invalid("destruction of a key that is not on the log")
	case b.Destroyed(x.CharterName, x.Office, x.Custodian, x.Period):
		return nil, invalid("destroyed before")
	}
	return func() {
		b.gone.put(at, none{})
		b.standing.remove(at)
		b.statistics.law(x.CharterName).Destructions++
	}, nil
}

// signedUnder returns the newest version, in the chains that end in laws, with
// a custodian of that name whose key verifies, or nil.
func (b *Book) signedUnder(office, custodian string, verify func(charter.CustodianKey) bool, laws []*law) *law {
	for _, l := range laws {
		for ; l != nil; l = l.prev {
			if k := l.charter.Custodian(office, custodian); k != nil && verify(k.Key) {
				return l
			}
		}
	}
	return nil
}

// Permits reports why a warrant of this form would not count if its entry came
// next, approved and signed as it must be, or nil.
func (b *Book) Permits(p warrant.Public) error {
	_, err := b.lawOf(&p)
	return err
}

// lawOf returns the law that a warrant entry names, if that permits it and the
// entries before do.
func (b *Book) lawOf(x *warrant.Public) (*law, error) {
	l, ok := b.laws[x.Charter]
	if !ok {
		return nil, invalid("warrant under an unknown charter")
	}
	if err := b.permits(l, x); err != nil {
		return nil, err
	}
	if at, ok := b.commitments.get(x.Commitment); ok {
		return nil, invalid("warrant of entry %d again", at)
	}
	if x.IsRenewal() {
		if err := b.renewable(x); err != nil {
			return nil, breaks("LED-73", err)
		}
	}
	return l, nil
}

// permits checks a warrant entry against the law it names. A version permits
// until a newer one has been used: which of them a reader acts on is
// [Book.InForce], but that goes by a reader's time, and this by the log alone.
func (b *Book) permits(l *law, x *warrant.Public) error {
	c := l.charter
	life := x.NotAfter - x.NotBefore
	used, _ := b.used.get(c.Name)
	switch {
	case c.Mode == charter.NoAccess:
		return invalid("warrant under a charter without exceptional access")
	case c.Number < used:
		return invalid("warrant under version %d, which is superseded", c.Number)
	case !slices.Contains(c.CaseTypes, x.CaseType):
		return invalid("case type %q is not in the charter", x.CaseType)
	case x.Window > c.Limits.MaxWindow:
		return invalid("window of %d s, at most %d are allowed", x.Window, c.Limits.MaxWindow)
	case life > c.Limits.MaxWarrantLife:
		return invalid("life of %d s, at most %d are allowed", life, c.Limits.MaxWarrantLife)
	case x.IsEmergency() && c.Limits.Urgent == nil:
		return invalid("the charter has no urgent procedure")
	case x.IsEmergency() && life > c.Limits.Urgent.MaxLife:
		return invalid("urgent life of %d s, at most %d are allowed", life, c.Limits.Urgent.MaxLife)
	case x.NotBefore >= c.Review:
		return invalid("warrant after the charter's review date")
	case x.Action == warrant.Preserve && c.Limits.MaxHold == 0:
		return invalid("the charter has nothing preserved")
	case x.IsPrivileged() && len(c.Privilege) == 0:
		return invalid("the charter knows no privileged conversations")
	case !slices.Equal(x.Offices, c.WarrantRules(x.IsPrivileged()).Offices()):
		return invalid("offices %q are not those that must approve", x.Offices)
	}
	return nil
}
