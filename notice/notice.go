// Package notice is about telling a person that their words were opened.
//
// A request entry on the ledger lists one leaf for every compartment asked
// for: the hash of the capsule's hash with a salt. The salt comes to the
// custodians with the request, so they can recompute every leaf; the public
// sees hashes only. Whoever learns the salt later and knows the capsules of
// their own conversations finds their own openings, and nobody else's.
//
// What does not exist yet: the timelock. The salt is to be encrypted to a round
// of a beacon (identity-based encryption on BLS12-381, the round number being
// the identity), so that one signature by the beacon's operators on a round
// opens every notice due. Until then a notice goes out only when somebody
// publishes the salt, and no charter may name beacon keys.
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
