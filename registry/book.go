package registry

import (
	"context"
	"fmt"
	"time"

	"writ/directory"
	"writ/ledger"
)

// replay takes an entry that is on the log. One that the book does not like is on
// the log all the same, and look-ups go by what is there.
func (s *Server) replay(index uint64, entry []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index != s.head.Size() {
		return fmt.Errorf("registry: entry %d where %d is next", index, s.head.Size())
	}
	defer func() { s.recent, s.rooted = nil, nil }() // the view begins after them
	return s.take(entry)
}

// begin waits until all that is on disk is published, and makes it the view.
func (s *Server) begin(ctx context.Context) error {
	size := s.head.Size()
	if size == 0 {
		return nil
	}
	c, err := s.log.Await(ctx, size-1)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if err := s.archive(ctx, c); err != nil {
		return err
	}
	s.view.Store(&view{c, s.head.Clone()})
	return nil
}

// take applies an entry that was admitted. The caller holds mu.
func (s *Server) take(entry []byte) error {
	e, err := directory.ParseEntry(entry)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	index := s.head.Size()
	if err := s.head.Apply(entry); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	s.recent = append(s.recent, entry)
	if e.Leaf != nil {
		s.indexes[e.Leaf.Label] = append(s.indexes[e.Leaf.Label], index)
	} else {
		s.rooted = append(s.rooted, s.head.Clone())
	}
	return nil
}

// admit logs an entry, and the root that is due after it.
func (s *Server) admit(entry []byte) (index uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index, err = s.append(entry); err != nil || !s.head.Due() {
		return index, err
	}
	_, err = s.append(s.head.Root().Entry())
	return index, err
}

func (s *Server) append(entry []byte) (uint64, error) {
	index, err := s.log.Append(entry)
	if err != nil {
		return 0, err
	}
	if err := s.take(entry); err != nil {
		s.log.Stop(err) // book and log differ
		return 0, err
	}
	return index, nil
}

// publish follows the published checkpoints.
func (s *Server) publish(ctx context.Context) {
	for {
		if err := s.advance(ctx); err != nil && ctx.Err() == nil {
			s.out.Warn("registry: no new checkpoint", "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(publishEvery):
		}
	}
}

// advance brings archive and view to the newest published checkpoint.
func (s *Server) advance(ctx context.Context) error {
	c, err := s.log.Published(ctx)
	if err != nil {
		return err
	}
	s.archiving.Lock()
	defer s.archiving.Unlock()
	was := s.view.Load()
	if was.checkpoint != nil && (c.Size() < was.book.Size() || c.Size() == was.book.Size() && !c.Time().After(was.checkpoint.Time())) {
		return nil
	}
	if err := s.archive(ctx, c); err != nil {
		return err
	}
	return s.show(was.book, c)
}

// show makes a checkpoint the view, and its book that of the view before brought up
// to it. The caller holds archiving.
func (s *Server) show(book *directory.Book, c *ledger.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := book.Size()
	for len(s.rooted) > 0 && s.rooted[0].Size() <= c.Size() {
		book, s.rooted = s.rooted[0], s.rooted[1:]
	}
	if book.Size() < c.Size() {
		book = book.Clone()
	}
	for book.Size() < c.Size() {
		if err := book.Apply(s.recent[book.Size()-from]); err != nil {
			return fmt.Errorf("registry: %w", err)
		}
	}
	s.recent = s.recent[c.Size()-from:]
	s.view.Store(&view{c, book})
	return nil
}
