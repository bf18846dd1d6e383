package delivery

import (
	"context"
	"testing"

	"writ/api"
)

// TestReadWhileOthersWrite: an answer never names a last message before one it
// holds, which a device would take for a delivery that forgets.
func TestReadWhileOthersWrite(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	hash := alice.deposit(conv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, text := range texts(200, "hello") {
			alice.say(conv, hash, text)
		}
	}()
	client, after := bob.api(), uint64(0)
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		r, err := client.Read(context.Background(), &api.ReadRequest{Conversation: []byte(conv), AfterSeq: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range r.Messages {
			after = m.Seq
		}
		if after > r.LastSeq {
			t.Fatalf("message %d in an answer whose last is %d", after, r.LastSeq)
		}
	}
}
