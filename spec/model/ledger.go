package model

// Entry is an entry of the log: a warrant, a request, or a custodian's intent.
type Entry uint8

const (
	firstWarrant Entry = 1
	firstRequest       = firstWarrant + maxWarrants
	firstStop          = firstRequest + maxRequests
	firstIntent        = firstStop + maxWarrants
)

func warrantEntry(x int) Entry { return firstWarrant + Entry(x) }

func requestEntry(r int) Entry { return firstRequest + Entry(r) }

func stopEntry(x int) Entry { return firstStop + Entry(x) }

func intentEntry(c, r int, nonce uint8) Entry {
	return firstIntent + Entry((r*maxCustodians+c)*2) + Entry(nonce)
}

// Book is what counts among the first entries of the log: LED-50 to LED-57, LED-63.
type Book struct {
	warrants int
	rank     [maxWarrants]int // 0: not on the log
	stopped  [maxWarrants]bool
	request  [maxRequests]bool
	intents  [maxCustodians][maxRequests]int
	nonce    [maxCustodians][maxRequests]uint8 // of the first intent
}

// book replays the first n entries.
func (w *World) book(s *State, n int) *Book {
	b := &Book{}
	for _, e := range s.Log[:n] {
		w.apply(b, e)
	}
	return b
}

// truth is the book of the whole log by rules of which none is removed.
func (w *World) truth(s *State) *Book {
	whole := *w
	whole.Removed = 0
	return whole.book(s, int(s.Len))
}

// apply counts an entry, or reports that it does not count.
func (w *World) apply(b *Book, e Entry) bool {
	switch {
	case e < firstRequest:
		return w.warrant(b, int(e-firstWarrant))
	case e >= firstStop && e < firstIntent:
		return b.stop(int(e - firstStop))
	case e < firstIntent:
		r := int(e - firstRequest)
		x := w.Requests[r]
		if b.request[r] || w.has(Counted) && b.rank[x] == 0 || w.has(Stopped) && b.stopped[x] {
			return false
		}
		b.request[r] = true
		return true
	}
	i := int(e - firstIntent)
	return w.intent(b, i/2%maxCustodians, i/2/maxCustodians, uint8(i%2))
}

func (w *World) warrant(b *Book, x int) bool {
	if b.rank[x] > 0 || w.has(Vouched) && !w.Approved[x] {
		return false
	}
	b.warrants++
	b.rank[x] = b.warrants
	return true
}

// stop is a cancellation, a review that refuses, or an error.
func (b *Book) stop(x int) bool {
	if b.rank[x] == 0 || b.stopped[x] {
		return false
	}
	b.stopped[x] = true
	return true
}

func (w *World) intent(b *Book, c, r int, nonce uint8) bool {
	if w.has(Counted) && !b.request[r] || w.has(Once) && b.intents[c][r] > 0 ||
		w.has(Stopped) && b.stopped[w.Requests[r]] {
		return false
	}
	if b.intents[c][r] == 0 {
		b.nonce[c][r] = nonce
	}
	b.intents[c][r]++
	return true
}

// view is a checkpoint that the notary shows, as it likes: of any size, if it
// is old, or of a size that a checkpoint of this tick can have.
type view struct {
	size int
	old  bool
}

// views lists the checkpoints that a custodian works with.
func (w *World) views(s *State) []view {
	var list []view
	for n := int(s.Floor); n <= int(s.Len); n++ {
		list = append(list, view{n, false})
	}
	for n := 0; !w.has(FreshLook) && s.Now > 0 && n <= int(s.Floor); n++ {
		list = append(list, view{n, true})
	}
	return list
}
