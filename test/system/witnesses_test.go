package system

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"writ/charter"
	"writ/ledger"
	"writ/setup"
	"writ/witness"
)

// rotation is a world whose directory other witnesses come to watch.
type rotation struct {
	*world
	t      *testing.T
	log    string            // the directory's vkey
	lines  map[string]string // of a policy, by a witness's name
	urls   map[string]string
	law    *charter.Charter // in force
	anna   *device          // goes on through all of it, and acknowledges each version
	zoe    *device          // never acknowledges any
	unseen []string         // accounts of which neither ever asked
}

// newRotation starts a world, four witnesses more, and people.
func newRotation(t *testing.T) *rotation {
	w := newWorld(t, setup.WorldOptions{Cap: 100})
	r := &rotation{world: w, t: t, lines: map[string]string{}, urls: map[string]string{}}
	var err error
	r.law, err = charter.Parse(w.Signed.Charter)
	must(t, err)
	policy, err := ledger.ParsePolicy(r.law.Directory.Policy)
	must(t, err)
	r.log = policy.LogVKey()
	for _, x := range policy.Witnesses() {
		r.lines[x.Name], r.urls[x.Name] = "witness "+x.Name+" "+x.VKey, w.Deployment.Beacon[x.Name]
	}
	for _, name := range []string{"library", "archive", "museum", "theatre"} {
		r.addWitness(name)
	}
	var names []string
	for i := range 16 {
		names = append(names, fmt.Sprintf("person-%d", i))
	}
	people := w.people(append([]string{"anna", "zoe"}, names...)...)
	r.anna, r.zoe, r.unseen = people[0], people[1], names
	return r
}

// addWitness starts a witness of the directory's log alone.
func (r *rotation) addWitness(name string) {
	r.t.Helper()
	l := listen(r.t, "127.0.0.1:0")
	sub, c := "witness/"+name, &setup.Witness{Listen: l.Addr().String(), Logs: []string{r.log}}
	must(r.t, l.Close())
	must(r.t, os.Mkdir(r.path(sub), 0o700))
	k, err := setup.NewKeyFile(setup.RoleWitness, "", name+".example")
	must(r.t, err)
	must(r.t, k.Save(r.path(sub, "witness.key")))
	key, err := witness.ParseKey(k.Note)
	must(r.t, err)
	must(r.t, setup.SaveConfig(r.path(sub), c))
	r.start(sub)
	r.lines[name], r.urls[name] = "witness "+name+" "+key.VKey(), "http://"+c.Listen
}

// policy is that of the directory's log with groups of witnesses, each as "2 NAME NAME",
// all of which must be satisfied.
func (r *rotation) policy(groups ...string) string {
	text, all := "log "+r.log+"\n", ""
	for i, g := range groups {
		for _, name := range strings.Fields(g)[1:] {
			text += r.lines[name] + "\n"
		}
		text += fmt.Sprintf("group g%d %s\n", i, g)
		all += fmt.Sprintf(" g%d", i)
	}
	return text + "group quorum-of-all all" + all + "\nquorum quorum-of-all\n"
}

// watch starts the directory anew under a policy.
func (r *rotation) watch(policy string) {
	r.t.Helper()
	r.kill("directory")
	c, err := setup.LoadConfig[setup.Directory](r.path("directory"))
	must(r.t, err)
	c.Policy, c.Witnesses, c.Republish = policy, r.urls, setup.Duration(time.Second)
	must(r.t, setup.SaveConfig(r.path("directory"), c))
	r.start("directory")
}

// amend puts a version into force that names other witnesses of the directory.
func (r *rotation) amend(policy string) {
	r.t.Helper()
	next := *r.law
	next.Number, next.Previous, next.Directory.Policy = r.law.Number+1, r.law.Hash(), policy
	file, signed := r.path("next.json"), r.path("next.signed")
	must(r.t, os.WriteFile(file, next.JSON(), 0o600))
	r.writ("charter", "sign", file, "--key", r.path("keys", "judge-1.key"), "--out", signed)
	r.writ("charter", "sign", signed, "--key", r.path("keys", "commissioner-1.key"), "--out", signed)
	r.writ("charter", "publish", signed, "--deployment", r.path("deployment.json"))
	eventually(r.t, 20*time.Second, func() error {
		if err := r.anna.copied.Refresh(ctx); err != nil {
			return err
		}
		if c, ok := (laws{r.anna.copied}).InForce(next.Name, time.Now()); !ok || c.Hash() != next.Hash() {
			return errors.New("the amendment is not in force")
		}
		return nil
	})
	r.law = &next
	must(r.t, r.anna.Acknowledge(next.Hash()))
	eventually(r.t, 20*time.Second, func() error { // delivery reads it when it looks next
		_, err := r.anna.Create(ctx, r.unseen[len(r.unseen)-1])
		return err
	})
}

// asks lets both begin a conversation for which they must ask the directory.
func (r *rotation) asks() (anna, zoe error) {
	who := r.unseen[0]
	r.unseen = r.unseen[1:]
	id, anna := r.anna.Create(ctx, who)
	if anna == nil {
		anna = r.anna.Send(ctx, id, "hello "+who)
	}
	must(r.t, r.zoe.copied.Refresh(ctx))
	_, zoe = r.zoe.Create(ctx, who)
	return anna, zoe
}

// audit audits the directory's log under a policy.
func (r *rotation) audit(policy string) result {
	file := r.path("audited.txt")
	must(r.t, os.WriteFile(file, []byte(policy), 0o600))
	return r.run("audit", r.Deployment.Directory, "--directory", "--policy", file)
}

// goesOn demands that all who ask the directory believe it.
func (r *rotation) goesOn(when, policy string) {
	r.t.Helper()
	if anna, zoe := r.asks(); anna != nil || zoe != nil {
		r.t.Errorf("%s: anna: %v, zoe: %v", when, anna, zoe)
	}
	if x := r.audit(policy); x.code != 0 {
		r.t.Errorf("%s: audit: exit code %d\n%s", when, x.code, x.errors)
	}
	name := strings.ReplaceAll(when, " ", "-")
	eventually(r.t, 20*time.Second, func() error { // a new copy of the ledger waits too until a version is in force
		if x := r.run("register", name, "--deployment", r.path("deployment.json"), "--home", r.path("homes", name)); x.code != 0 {
			return errors.New(x.errors)
		}
		return nil
	})
	if list := r.alarms(); len(list) > 0 {
		r.t.Errorf("%s: alarms: %+v", when, list)
	}
}

// alarms are those that anna was not shown before.
func (r *rotation) alarms() (list []string) {
	for _, a := range r.anna.Alarms() {
		if !a.Answered {
			list = append(list, a.Text)
			must(r.t, r.anna.Answer(a.Number))
		}
	}
	return list
}

// stands demands that nobody believes the directory.
func (r *rotation) stands(when, policy string) {
	r.t.Helper()
	if anna, zoe := r.asks(); !errors.Is(anna, ledger.ErrNoQuorum) || !errors.Is(zoe, ledger.ErrNoQuorum) {
		r.t.Errorf("%s: anna: %v, zoe: %v", when, anna, zoe)
	}
	if x := r.audit(policy); x.code != 4 || !strings.Contains(x.errors, "no quorum") || !strings.Contains(x.errors, "hint: the law may name other witnesses") {
		r.t.Errorf("%s: audit: exit code %d\n%s%s", when, x.code, x.out, x.errors)
	}
	r.alarms()
	if list := r.anna.Alarms(); len(list) == 0 || !strings.Contains(list[len(list)-1].Text, "can not prove which devices your account has") {
		r.t.Errorf("%s: anna is told %+v", when, list)
	}
}

// proves opens a case and exports its evidence, which must prove whose key signed.
func (r *rotation) proves(name string) (bundle string) {
	r.t.Helper()
	r.writ("open", name)
	bundle = r.path(name + ".bundle")
	r.writ("bundle", "export", r.path("agency", "cases", name+".writ"), "--deployment", r.path("deployment.json"),
		"--key", r.path("keys", "inspector-1.key"), "--out", bundle)
	return bundle
}

// TestDirectoryWitnesses: amendments replace one witness of the directory, then all of
// them. Only the directory is started anew, with both sets while an amendment waits and
// with the new one after it; people, custodians and the agency go on. What the set of
// before cosigns counts for nobody from then on, and at no time what is of neither.
// Evidence proves whose key signed, also of what was said under the versions before; a
// warrant of these opens nothing more.
func TestDirectoryWitnesses(t *testing.T) {
	r := newRotation(t)
	const was, one, whole = "2 university newspaper bar", "2 university newspaper library", "2 archive museum theatre"
	first := r.law.Directory.Policy
	id, err := r.anna.Create(ctx, r.unseen[15])
	must(t, err)
	must(t, r.anna.Send(ctx, id, "under the first"))
	time.Sleep(1100 * time.Millisecond) // times of epochs are in seconds
	r.order("first", "anna")
	bundles := []string{r.proves("first")}

	for _, step := range []struct{ name, was, is, both, old, neither string }{
		{"one", was, one, "4 university newspaper bar library", "2 university bar", "2 bar archive"},
		{"whole", one, whole, "", one, "2 university archive"},
	} {
		before, after := r.law.Directory.Policy, r.policy(step.is)
		both := r.policy(step.was, step.is)
		if step.both != "" {
			both = r.policy(step.both)
		}
		r.watch(r.policy(step.neither))
		r.stands(step.name+" before", before)
		r.watch(both)
		r.goesOn(step.name+" waits", before)
		late := "late-" + step.name // a warrant under the version before
		time.Sleep(1100 * time.Millisecond)
		r.order(late, "anna")
		bundles = append(bundles, r.proves(late))
		r.amend(after)
		r.goesOn(step.name+" in force", after)
		must(t, r.anna.Send(ctx, id, "under "+step.name))
		r.watch(after)
		r.goesOn(step.name+" done", after)

		if x := r.run("open", late); x.code != 3 || !strings.Contains(x.errors, "is not in force") {
			t.Errorf("open %s: exit code %d\n%s%s", late, x.code, x.out, x.errors)
		}
		time.Sleep(1100 * time.Millisecond)
		r.order(step.name, "anna")
		bundles = append(bundles, r.proves(step.name))
		r.watch(r.policy(step.old))
		r.stands(step.name+" old", after)
		r.watch(r.policy(step.neither))
		r.stands(step.name+" neither", after)
		r.watch(after)
		r.goesOn(step.name+" again", after)
	}
	for _, b := range bundles {
		r.writ("verify", b, "--policy", r.path("policy.txt"), "--charter", r.Deployment.Charters[0])
	}
	if x := r.audit(first); x.code != 4 {
		t.Errorf("an auditor with the policy of before: exit code %d\n%s%s", x.code, x.out, x.errors)
	}
}
