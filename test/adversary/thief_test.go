package adversary

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"writ/api"
	"writ/client"
	"writ/internal/testenv"
	"writ/mls"
)

// TM-65: who sits on the wire recorded everything and plays it again: the login, a
// message under its own name and under a new one, a commit; and changes what comes.
func TestNetworkReplays(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	var mu sync.Mutex
	recorded := map[string]proto.Message{}
	ann.Tap(func(procedure string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		mu.Lock()
		recorded[procedure] = proto.Clone(req.(proto.Message))
		mu.Unlock()
		return send()
	})
	must(must(client.Open(ann.Config)).Sync(ctx)) // the device is started anew, and logs in
	id := w.Talk(ann, ben)
	ann.Say(id, "once")
	w.Sync(ben)
	stranger := api.NewDeliveryClient(http.DefaultClient, w.URL)
	if login, ok := recorded["Login"].(*api.LoginRequest); !ok {
		t.Fatal("no login was recorded")
	} else if out, err := stranger.Login(ctx, login); err == nil {
		breach(t, "a recorded login gives a session: %q", out.Token)
	}
	message := recorded["Append"].(*api.AppendRequest)
	if _, err := stranger.Append(ctx, message); connect.CodeOf(err) != connect.CodeUnauthenticated {
		breach(t, "a stranger appends: %v", err)
	}
	renamed := proto.Clone(message).(*api.AppendRequest)
	renamed.Mid = mid()
	for what, r := range map[string]*api.AppendRequest{"as it was": message, "under a new name": renamed} {
		if _, err := ann.API().Append(ctx, r); err != nil {
			t.Logf("%s: %v", what, err)
		}
	}
	w.Sync(ben)
	if got := ben.Shown(id); !slices.Equal(got, []string{"once"}) {
		breach(t, "ben is shown %q", got)
	}
	told(t, ben, id, client.Fault, "comes again")
	if commit, ok := recorded["Commit"].(*api.CommitRequest); ok {
		again := proto.Clone(commit).(*api.CommitRequest)
		again.Mid = mid()
		if _, err := ann.API().Commit(ctx, again); err == nil {
			breach(t, "a recorded commit is taken again")
		}
	}
	ann.Say(id, "twice") // her device has the sum of it: one more message, of her own, that she did not send
	ben.Tap(testenv.Reads(func(r *api.ReadResponse) {
		for _, m := range r.Messages {
			m.Body = bytes.Clone(m.Body)
			m.Body[len(m.Body)-1] ^= 1
		}
	}))
	w.Sync(ben)
	hides(t, ben, id, "twice")
	told(t, ben, id, client.Fault, "changed on its way")
}

// TM-81: a phone that keeps no history is stolen. The thief has its storage and every
// ciphertext that the network ever saw.
func TestStolenPhone(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann := w.Person("ann")
	ben := w.Person("ben", func(c *client.Config) { c.ForgetHistory = true })
	id := w.Talk(ann, ben)
	ann.Say(id, "read and forgotten")
	w.Sync(ben)
	ben.Say(id, "said and forgotten")
	w.Sync(ann, ben)
	w.Must(ben.MarkRead(id, 1<<32))
	all := must(ben.API().Read(ctx, &api.ReadRequest{Conversation: id[:]})).Messages
	thief := ben.Group(id)
	tried := 0
	for _, m := range all {
		if m.Kind != api.Kind_KIND_APPLICATION {
			continue
		}
		tried++
		if got, _, err := thief.Unprotect(m.Body); err == nil {
			breach(t, "the stolen phone opens %q", got.Data)
		}
	}
	if tried != 2 {
		t.Errorf("%d messages", tried)
	}
	for leaf := range uint32(2) {
		if ratchet, _, err := thief.SenderSecrets(1, mls.LeafIndex(leaf)); err == nil {
			breach(t, "the storage holds the first secret of leaf %d: %x", leaf, ratchet)
		}
	}
	for _, space := range []string{"device", "c-" + id.String(), "h-" + id.String()} {
		for _, r := range must(ben.Storage.Load(space)) {
			lacks(t, space+" "+r.Key, r.Value, map[string][]byte{"what was read": []byte("read and forgotten"), "what was said": []byte("said and forgotten")})
		}
	}
}

// TM-82: the phone was removed after the theft. The thief goes on with its storage of
// before and everything that delivery has.
func TestStolenPhoneIsRemoved(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben, eve := w.Person("ann"), w.Person("ben"), w.Person("eve")
	id := w.Talk(ann, ben, eve)
	thief := eve.Group(id)
	w.Must(ann.Remove(ctx, id, "eve"))
	w.Sync(ann, ben)
	ann.Say(id, "she is out")
	ben.Say(id, "good")
	w.Sync(ann, ben)
	tried := 0
	for _, m := range must(ann.API().Read(ctx, &api.ReadRequest{Conversation: id[:]})).Messages {
		if m.Kind == api.Kind_KIND_COMMIT {
			if staged, err := thief.Stage(m.Body); err == nil {
				thief.Apply(staged)
			}
			continue
		}
		tried++
		if got, _, err := thief.Unprotect(m.Body); err == nil {
			breach(t, "who was removed reads %q", got.Data)
		}
	}
	if tried != 2 {
		t.Errorf("%d messages", tried)
	}
	if _, err := eve.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := eve.Send(ctx, id, "I am still here"); !errors.Is(err, client.ErrNotMember) {
		breach(t, "her device speaks: %v", err)
	}
}
