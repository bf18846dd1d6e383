package mls

import "hash/maphash"

// A keySet finds the nodes of a tree by their public keys: an open hash table of node
// numbers, copied with the tree. Keys that occur twice make it ambiguous, which a
// valid tree never stays (RFC 9420 7.3).
type keySet struct {
	seed      maphash.Seed
	slots     table[uint32] // a power of two; 0 is free, gone was used, else node + 2
	used      int           // slots that aren't 0
	ambiguous bool
}

const gone = 1

func newKeySet() keySet { return keySet{seed: maphash.MakeSeed()} }

func (k *keySet) clone() keySet { return keySet{k.seed, k.slots.clone(), k.used, k.ambiguous} }

// probe calls f with the slots where key can be, until f says stop or one is free.
func (k *keySet) probe(key []byte, f func(i int, v uint32) (stop bool)) {
	if k.slots.size == 0 {
		return
	}
	mask := uint64(k.slots.size - 1)
	for i := maphash.Bytes(k.seed, key); ; i++ {
		v := k.slots.get(int(i & mask))
		if f(int(i&mask), v) || v == 0 {
			return
		}
	}
}

// find returns a node with this key. keyOf gives the key of a node in the set.
func (k *keySet) find(key []byte, keyOf func(nodeIndex) []byte) (x nodeIndex, ok bool) {
	k.probe(key, func(_ int, v uint32) bool {
		if v > gone && string(keyOf(nodeIndex(v-2))) == string(key) {
			x, ok = nodeIndex(v-2), true
		}
		return ok
	})
	return x, ok
}

func (k *keySet) remove(x nodeIndex, key []byte) {
	k.probe(key, func(i int, v uint32) bool {
		if v == uint32(x)+2 {
			*k.slots.at(i) = gone
			return true
		}
		return false
	})
}

// insert puts in node x, which is in the tree by now.
func (k *keySet) insert(x nodeIndex, keyOf func(nodeIndex) []byte) {
	if 4*(k.used+1) > 3*k.slots.size {
		k.grow(keyOf)
	}
	key := keyOf(x)
	if _, ok := k.find(key, keyOf); ok {
		k.ambiguous = true
		return
	}
	k.probe(key, func(i int, v uint32) bool {
		if v > gone {
			return false
		}
		if v == 0 {
			k.used++
		}
		*k.slots.at(i) = uint32(x) + 2
		return true
	})
}

// grow makes room, and forgets what is gone.
func (k *keySet) grow(keyOf func(nodeIndex) []byte) {
	old := k.slots
	live := 0
	for i := range old.size {
		if old.get(i) > gone {
			live++
		}
	}
	k.slots, k.used = table[uint32]{owner: new(owner)}, 0
	k.slots.resize(int(max(16, 4*treeWidth(uint32(live)))))
	for i := range old.size {
		if v := old.get(i); v > gone {
			k.insert(nodeIndex(v-2), keyOf)
		}
	}
}
