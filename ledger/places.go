package ledger

import (
	"slices"

	"writ/charter"
)

// CharterPlaces returns where a version of a charter and those before it stand on the
// log, the first version first; none if it is unknown.
func (b *Book) CharterPlaces(h charter.Hash) (indexes []uint64) {
	for l := b.laws[h]; l != nil; l = l.prev {
		indexes = append(indexes, l.index)
	}
	slices.Reverse(indexes)
	return indexes
}

// KeyPlaces returns where the key statements of a law's custodians for some periods
// stand on the log, in its order. Those inside of a charter have no place of their own.
func (b *Book) KeyPlaces(name string, periods []uint32) (indexes []uint64) {
	for _, period := range periods {
		for _, k := range b.Keys(name, period) {
			if at, ok := b.Find(HashEntry(CustodianKeyEntry(k))); ok {
				indexes = append(indexes, at)
			}
		}
	}
	slices.Sort(indexes)
	return slices.Compact(indexes)
}
