package mls

import (
	"fmt"
	"sync"
)

// A warmGroup is a group in which every member has committed, as a group that lives
// is: no node is blank. The members' commits are made as commits are, path by path,
// but without the messages between, which at this size nobody would wait for.
type warmGroup struct {
	tree    *ratchetTree
	keys    map[nodeIndex]*hpkeKey
	signers []*SignatureKey
	epoch   func(i LeafIndex) *epoch
}

func newWarmGroup(t tester, cs CipherSuite, n int) *warmGroup {
	s, err := cs.params()
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &warmGroup{keys: make(map[nodeIndex]*hpkeKey), signers: make([]*SignatureKey, n)}
	id := fmt.Appendf(nil, "warm group of %d", n)
	leaves := make([]*LeafNode, n)
	enc := make([]*hpkeKey, n)
	check(parallel(n, func(i int) (err error) {
		if w.signers[i], err = GenerateSignatureKey(cs); err != nil {
			return err
		}
		enc[i], err = s.generateHPKEKey()
		leaves[i] = Client{Credential: Credential{Identity: fmt.Appendf(nil, "member %d", i)}, Key: w.signers[i]}.leaf(enc[i].public)
		return err
	}))
	w.tree = newTree(s, leaves[0])
	for _, l := range leaves[1:] {
		w.tree.addLeaf(l)
	}
	for i, l := range leaves { // a commit of each member
		i := LeafIndex(i)
		path, err := w.tree.newPath(i)
		check(err)
		l.source, l.Lifetime = sourceCommit, Lifetime{}
		l.parentHash = w.tree.setPath(i, path.steps, path.publicKeys())
		check(l.sign(w.signers[i], id, i))
		again := *l
		w.tree.set(i.node(), treeNode{leaf: &again})
		w.keys[i.node()] = enc[i]
		for k, step := range path.steps {
			w.keys[step.node] = path.keys[k]
		}
	}
	context := GroupContext{protocolVersion, cs, id, uint64(n), w.tree.rootHash(), s.hash(nil), nil}
	check(w.tree.verify(&context, acceptAll))
	var once sync.Mutex
	secret := s.randomSecret()
	w.epoch = func(i LeafIndex) *epoch {
		once.Lock()
		defer once.Unlock()
		secrets, encryption := s.deriveEpoch(append([]byte(nil), secret...))
		e := &epoch{
			publicState: newPublicState(s, context, w.tree, s.mac(secrets.confirmation, context.ConfirmedTranscriptHash)),
			own:         i, signer: w.signers[i], keys: make(treeKeys), secrets: secrets,
			messages: newSecretTree(s, context.Epoch, w.tree.width(), encryption),
		}
		e.keys[i.node()] = w.keys[i.node()].clone()
		for _, x := range directPath(i, w.tree.width()) {
			if !w.tree.node(x).blank() {
				e.keys[x] = w.keys[x].clone()
			}
		}
		return e
	}
	return w
}

// member is the group as member i has it.
func (w *warmGroup) member(t tester, i LeafIndex) *Group {
	cfg, err := testConfig().check()
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxPastEpochs = 0
	return newGroup(cfg, w.epoch(i))
}
