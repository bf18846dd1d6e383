// Package notice is about telling a person that their words were opened, in a
// way that needs nobody's goodwill.
//
// # Terms
//
// A request entry on the ledger lists one leaf for every compartment asked
// for: the hash of the capsule's hash with a salt. Beside the leaves stands the
// salt, locked to a round of the charter's beacon (package beacon): the
// timelock. The custodians get the salt with the request, recompute every leaf
// and the timelock, and release nothing otherwise. When the round comes, its one
// signature opens every notice due. Whoever learns the salt then and knows the
// capsules of their own conversations finds their own openings ([Match]) and
// nobody else's. A [Card] is what they are shown.
//
// # Guarantees
//
// A [Card] is made only of a request entry whose timelock opens with the round's
// verified signature, the warrant entry and charter it stands under, and
// compartments whose leaves it lists: nobody can show a person a false card
// without the ledger, the charter and the beacon.
//
// # What it does not do
//
// The public entries hold no name, no order's number and no grounds, so neither
// does the card: it gives the commitment by which the person can later be
// shown the one warrant it stands for. It doesn't know whether an entry is on the
// ledger: callers take entries from a [ledger.Book].
//
// It says nothing to who has lost the capsules' hashes of their conversations.
//
// # Example
//
//	sig, err := b.Key.Verify(request.Round, signature)
//	salt, err := beacon.Unlock(request.Timelock, sig)
//	mine := notice.Match(request.Leaves, salt, hashes)
//	n := ledger.Notice{Law: law, Warrant: warrant, Request: request, Signature: sig, Sequel: book.Sequel(request.Hash, now)}
//	card, err := notice.NewCard(&n, opened) // opened: those of mine
//	for _, line := range card.Lines() { fmt.Println(line) }
package notice

import (
	"writ/capsule"
	"writ/internal/wire"
)

// Leaf returns C_j = H("writ/v1 notice", h, salt), which stands for the capsule
// with hash h in a request entry. The salt is 32 random bytes, one per request.
func Leaf(h capsule.Hash, salt [32]byte) [32]byte {
	return wire.Hash("notice", h[:], salt[:])
}

// Match returns the places in hashes, ascending, of the capsules whose leaves are
// among a request's. It costs one hash for each of hashes and one step for each of
// leaves.
func Match(leaves [][32]byte, salt [32]byte, hashes []capsule.Hash) []int {
	listed := make(map[[32]byte]bool, len(leaves))
	for _, l := range leaves {
		listed[l] = true
	}
	var mine []int
	for i, h := range hashes {
		if listed[Leaf(h, salt)] {
			mine = append(mine, i)
		}
	}
	return mine
}
