package delivery

import (
	"bytes"
	"context"
	"testing"

	"connectrpc.com/connect"
	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/mls"
	"writ/warrant"
)

// known are the extensions that devices list in their leaves.
var known = []mls.ExtensionType{capsule.PrivilegedExtension}

var mark = []mls.Extension{{Type: capsule.PrivilegedExtension}}

// TestMarkR35: a conversation is privileged from its creation on or never, every
// capsule says so, and nobody comes in whose law does not know it.
func TestMarkR35(t *testing.T) {
	w := newWorld(t)
	alice, bob, plain := w.pair()
	marked := alice.createAs(mark)
	alice.commit(marked, mls.CommitOptions{Add: bob.take("bob")})
	for conv, change := range map[string][]mls.Extension{plain: mark, marked: {}} {
		_, r := alice.prepare(conv, mls.CommitOptions{GroupContextExtensions: change})
		_, err := alice.api().Commit(context.Background(), r)
		refusedWith(t, "a mark changed", err, connect.CodePermissionDenied)
		alice.groups[conv].DropPending()
		wrong := alice.label(conv)
		wrong.Flags ^= capsule.Privileged
		_, err = alice.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: alice.seal(conv, wrong).Bytes()})
		refusedWith(t, "a capsule marked otherwise", err, connect.CodePermissionDenied)
	}
	alice.say(marked, alice.deposit(marked), "to my lawyer")
	lax := *w.law.Charter
	lax.Name, lax.Privilege = "another law", nil
	h := lax.Hash()
	w.config.Laws.(Fixed)[h] = &lax
	_, r := alice.prepare(marked, mls.CommitOptions{LeafExtensions: []mls.Extension{{Type: charter.LeafExtensionType, Data: h[:]}}})
	_, err := alice.api().Commit(context.Background(), r)
	refusedWith(t, "a law that knows no mark", err, connect.CodePermissionDenied)
	alice.groups[marked].DropPending()
	bob.law = &lax
	_, err = bob.tryCreate(mark)
	refusedWith(t, "a conversation under a law that knows no mark", err, connect.CodePermissionDenied)
	_, err = alice.tryCreate([]mls.Extension{{Type: capsule.PrivilegedExtension, Data: []byte{1}}})
	refusedWith(t, "a mark with data", err, connect.CodePermissionDenied)
}

// TestDisclosePrivilegedR35: what is privileged is disclosed under a warrant that
// says so only.
func TestDisclosePrivilegedR35(t *testing.T) {
	w, l := newLedgerWorld(t)
	alice, _, plain := w.pair()
	alice.say(plain, alice.deposit(plain), "to bob")
	marked := alice.createAs(mark)
	alice.commit(marked, mls.CommitOptions{})
	alice.say(marked, alice.deposit(marked), "to my lawyer")
	list, _ := alice.disclosed(w.order(l, func(*warrant.Warrant) {}))
	if len(list) != 1 || !bytes.Equal(list[0].Conversation, []byte(plain)) {
		t.Errorf("%d compartments", len(list))
	}
	list, _ = alice.disclosed(w.order(l, func(o *warrant.Warrant) { o.Flags = warrant.IsPrivileged }))
	if len(list) != 2 {
		t.Errorf("with the flag: %d compartments", len(list))
	}
}
