package mls

import (
	"bytes"
	"testing"
)

// everyEncoding makes one of each structure that is ever parsed.
func everyEncoding(t tester) map[string][]byte {
	w := grown(t)
	n := w.newcomer()
	proposal, d, err := w.clients[3].g.Propose(Proposal{Update: true})
	w.propose(3, proposal, d, err)
	p, err := w.clients[0].g.Commit(CommitOptions{ByReference: true, Add: []*KeyPackage{n.kp}, Remove: []LeafIndex{5},
		PSKs: []PSK{{ID: []byte("external")}, {GroupID: []byte("group"), Epoch: w.clients[0].g.Epoch()}}})
	w.check(err)
	info, err := w.clients[0].g.GroupInfo(nil, true)
	w.check(err)
	proof, err := w.public.ProveLeaf(3)
	w.check(err)
	return map[string][]byte{
		"commit": p.Message, "proposal": proposal, "welcome": p.Welcome, "group info": info,
		"key package": n.kp.Bytes(), "application": protect(t, w.clients[7], "x"),
		"tree": w.public.RatchetTree(), "context": w.public.Context().Bytes(), "proof": proof,
		"public group": w.public.Marshal(), "leaf": n.kp.Leaf.Bytes(),
	}
}

// decoders are all of them, each as parse-and-encode.
func decoders() map[string]func([]byte) ([]byte, error) {
	return map[string]func([]byte) ([]byte, error){
		"message":               again(decodeMessage),
		"context":               again(decodeGroupContext),
		"leaf":                  again(decodeLeafNode),
		"group secrets":         again(decodeGroupSecrets),
		"sender data":           again(decodeSenderData),
		"proof":                 again(decodeLeafProof),
		"group info":            again(decodeGroupInfo),
		"authenticated content": again(decodeAuthenticatedContent),
		"tree": func(b []byte) ([]byte, error) {
			t, err := parseTree(nil, b)
			if err != nil {
				return nil, err
			}
			return marshal(t), nil
		},
		"public group": func(b []byte) ([]byte, error) {
			p, err := ParsePublicGroup(testConfig(), b)
			if err != nil {
				return nil, err
			}
			return p.Marshal(), nil
		},
		"required capabilities": func(b []byte) ([]byte, error) {
			c, err := requiredCapabilities([]Extension{{ExtensionRequiredCapabilities, b}})
			if err != nil {
				return nil, err
			}
			return c.Required().Data, nil
		},
		"external senders": func(b []byte) ([]byte, error) {
			list, err := externalSenders([]Extension{{ExtensionExternalSenders, b}})
			if err != nil {
				return nil, err
			}
			return ExternalSenders(list).Data, nil
		},
	}
}

// FuzzParse: what any decoder accepts, it encodes to the same bytes.
func FuzzParse(f *testing.F) {
	for _, b := range everyEncoding(f) {
		f.Add(b)
	}
	f.Add(Capabilities{Extensions: []ExtensionType{7}, Credentials: []uint16{1}}.Required().Data)
	f.Add(ExternalSenders([]ExternalSender{{[]byte("key"), Credential{Identity: []byte("x")}}}).Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, f := range decoders() {
			if out, err := f(b); err == nil && !bytes.Equal(out, b) {
				t.Errorf("%s: %x encodes to %x", name, b, out)
			}
		}
	})
}

// FuzzReceive: whatever arrives, an error leaves the state as it was.
func FuzzReceive(f *testing.F) {
	w := trio(f, testConfig())
	proposal, d, err := w.clients[2].g.Propose(Proposal{Update: true})
	w.check(err)
	w.clients[2].store.apply(d)
	private, d, err := w.clients[2].g.Propose(Proposal{Remove: new(LeafIndex(0)), Private: true})
	w.check(err)
	w.clients[2].store.apply(d)
	p, err := w.clients[0].g.Commit(CommitOptions{Add: []*KeyPackage{w.newcomer().kp}})
	w.check(err)
	for _, b := range [][]byte{proposal, private, p.Message, p.Welcome, protect(f, w.clients[2], "x")} {
		f.Add(b)
	}
	c := w.clients[1]
	f.Fuzz(func(t *testing.T, b []byte) {
		stored := &store{t, c.store.records}
		g := stored.load(w.cfg)
		_, _ = g.Peek(b)
		_, _ = g.Stage(b)
		stored.same(g)
		if _, err := g.HandleProposal(b); err != nil {
			stored.same(g)
		}
		g = stored.load(w.cfg)
		if _, _, err := g.Unprotect(b); err != nil {
			stored.same(g)
		}
		if s, err := w.public.Stage(b); err == nil && !bytes.Equal(b, p.Message) && s.Epoch != 2 {
			t.Fatal("a commit to another epoch")
		}
	})
}

// FuzzLoadGroup: a record of any content loads or fails, and a group that loads works.
func FuzzLoadGroup(f *testing.F) {
	w := trio(f, testConfig())
	protect(f, w.clients[0], "x")
	w.commit(0, CommitOptions{})
	c := w.clients[0]
	msg, d, err := c.g.Propose(Proposal{Update: true})
	w.propose(0, msg, d, err)
	msg, d, err = c.g.Propose(Proposal{Remove: new(LeafIndex(2))})
	w.propose(0, msg, d, err)
	p, err := c.g.Commit(CommitOptions{ByReference: true})
	w.check(err)
	c.store.apply(p.Delta)
	for k, v := range c.store.records {
		f.Add(k, v)
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		var list []Record
		for k, v := range c.store.records {
			if k != key {
				list = append(list, Record{k, v})
			}
		}
		g, err := LoadGroup(w.cfg, append(list, Record{key, value}))
		if err != nil {
			return
		}
		if _, err := g.State(); err != nil {
			t.Fatal(err)
		}
		_, _, _ = g.Protect(nil, nil)
		g.DropPending()
		_, _ = g.Commit(CommitOptions{})
	})
}

// FuzzFromOutside: whatever a newcomer is given, it gets in properly or not at all.
func FuzzFromOutside(f *testing.F) {
	cfg := testConfig()
	cfg.ExternalCommits = true
	w := trio(f, cfg)
	n := w.newcomer()
	p, err := w.clients[0].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}})
	w.check(err)
	info, err := w.clients[1].g.GroupInfo(nil, true)
	w.check(err)
	f.Add(info)
	f.Add(p.Welcome)
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, _, err := (Client{Credential: n.kp.Leaf.Credential, Key: n.key}).JoinExternal(cfg, b, nil, CommitOptions{}); err == nil {
			newStore(t, g).load(cfg)
		}
		if g, err := NewPublicGroup(cfg, b, nil); err == nil {
			if _, err := ParsePublicGroup(cfg, g.Marshal()); err != nil {
				t.Fatal(err)
			}
		}
		if g, _, err := (Client{Key: n.key}).Join(cfg, b, n.kp, n.secrets, nil); err == nil && !bytes.Equal(b, p.Welcome) {
			t.Fatalf("joined epoch %d by another Welcome", g.Epoch())
		}
	})
}
