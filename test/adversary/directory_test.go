package adversary

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/api"
	"writ/client"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/internal/testenv"
)

// alarmed demands an alarm that says something, and returns it.
func alarmed(t testing.TB, p *testenv.Person, what string) (a client.Alarm) {
	t.Helper()
	all := p.Alarms()
	if i := slices.IndexFunc(all, func(a client.Alarm) bool { return strings.Contains(a.Text, what) }); i >= 0 {
		return all[i]
	}
	breach(t, "%s is not alarmed of %q: %v", p.Account, what, all)
	return a
}

// rises lets hours pass for a person's device, and for the directory, whose witness
// cosigns then; delivery stays behind.
func rises(w *testenv.World, p *testenv.Person, by time.Duration) {
	p.Config.Now = func() time.Time { return time.Now().Add(by) }
	p.Device = must(client.Open(p.Config))
	w.Directory.Stamp(p.Config.Now())
}

// TM-9: who runs the directory, with its log's key, its label key and delivery's help,
// makes a statement that ben has one more device: signed by its own key, as his phone, as
// by his recovery key. Nobody lets the device in, and ben's phone raises an alarm.
func TestDirectoryMakesUpADevice(t *testing.T) {
	t.Parallel()
	_, own := must2(ed25519.GenerateKey(nil))
	for what, sign := range map[string]func(*directory.Statement){
		"as his phone":        func(s *directory.Statement) { s.SignAs("phone", directory.DeviceSigner(own)) },
		"as the new device":   func(s *directory.Statement) { s.SignAs("tablet", directory.DeviceSigner(own)) },
		"by another recovery": func(s *directory.Statement) { s.SignRecovery(directorytest.Recovery("nobody")) },
	} {
		w := small(t)
		ann, ben, eve := w.Person("ann"), w.Person("ben"), w.Person("eve")
		id, who := w.Talk(ann, eve), directory.Identity{Account: "ben", Device: "tablet"}
		key, list := ghost(t, w, who, w.Charter.Hash())
		s := w.Directory.Chain("ben").Draft()
		s.Add(who.Device, directory.DeviceKey(key), uint64(time.Now().Unix()))
		sign(s)
		w.Directory.Force(s)
		ann.Tap(list)
		if err := ann.Invite(ctx, id, "ben"); !errors.Is(err, client.ErrDirectory) {
			breach(t, "%s: ann invites: %v", what, err)
		}
		if members := must(ann.Members(id)); slices.Contains(members, who) {
			breach(t, "%s: ann lets in %v", what, who)
		}
		rises(w, ben, 25*time.Hour)
		ben.Sync(ctx)
		alarmed(t, ben, "can not prove which devices your account has")
	}
}

// TM-10, TM-15: ben's tablet was stolen and revoked. Who runs the directory shows ann his
// devices of before: under the log of today, and as a whole log of before, which its
// witness cosigns anew; and a second log without the witness. The tablet does not come in,
// and of two logs she keeps the proof.
func TestDirectoryRollsBack(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, eve := w.Person("ann"), w.Person("eve")
	w.Person("ben")
	id, who := w.Talk(ann, eve), directory.Identity{Account: "ben", Device: "tablet"}
	key, list := ghost(t, w, who, w.Charter.Hash())
	enlist(t, w.Directory, who, key)
	before := w.Directory.Fork()
	s := w.Directory.Chain("ben").Draft()
	s.Drop("tablet")
	s.SignRecovery(directorytest.Recovery("ben"))
	must(w.Directory.PutStatement(ctx, &api.PutStatementRequest{Statement: s.Encode()}))
	ask := func(d *directorytest.Directory, r *api.LookUpRequest) *api.LookUpResponse {
		return must(d.LookUp(ctx, r))
	}
	ann.Tap(list)
	shut := func(what string, why string) {
		t.Helper()
		err := ann.Invite(ctx, id, "ben")
		if !errors.Is(err, client.ErrDirectory) || !strings.Contains(err.Error(), why) {
			breach(t, "%s: ann invites: %v", what, err)
		}
		if members := must(ann.Members(id)); slices.Contains(members, who) {
			breach(t, "%s: the revoked device comes in", what)
		}
	}
	instead := func(change func(r *api.LookUpRequest, out *api.LookUpResponse)) { w.Directory.Lie(change) }

	instead(func(r *api.LookUpRequest, out *api.LookUpResponse) { out.Lookups = ask(before, r).Lookups })
	shut("his devices of before", "not the end of a log")

	instead(func(r *api.LookUpRequest, out *api.LookUpResponse) {
		out.Checkpoint = out.Checkpoint[:strings.LastIndex(strings.TrimSpace(string(out.Checkpoint)), "\n")+1]
	})
	shut("a log without its witness", "no quorum")

	instead(nil)
	other := w.Person("zoe") // ann looks her up, and has seen the log of today
	w.Must(ann.Invite(ctx, id, other.Account))
	for what, log := range map[string]*directorytest.Directory{"the log of before": before, "another log of the same length": longer(before)} {
		instead(func(r *api.LookUpRequest, out *api.LookUpResponse) {
			x := ask(log, r) // with the best proof it has, of its own tree
			out.Checkpoint, out.Lookups, out.Consistency = x.Checkpoint, x.Lookups, x.Consistency
		})
		shut(what, "does not continue")
		if a := alarmed(t, ann, "does not continue"); len(a.Evidence) < 2 {
			breach(t, "%s: she keeps no proof of both", what)
		}
	}
}

// longer is a log to which other accounts were added.
func longer(d *directorytest.Directory) *directorytest.Directory {
	f := d.Fork()
	for _, account := range []string{"x", "y", "z"} {
		_, key := must2(ed25519.GenerateKey(nil))
		s := &directory.Statement{Account: account, Version: 1, Recovery: directorytest.Recovery(account).Public()}
		s.Add("phone", directory.DeviceKey(key.Public().(ed25519.PublicKey)), uint64(time.Now().Unix()))
		s.SignAs("phone", directory.DeviceSigner(key))
		must(f.PutStatement(ctx, &api.PutStatementRequest{Statement: s.Encode()}))
	}
	return f
}
