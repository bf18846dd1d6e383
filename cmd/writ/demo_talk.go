package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/client"
	"writ/directory"
	"writ/engine"
	"writ/setup"
)

// talk is what people said, in three epochs of one conversation and beside it.
type talk struct {
	subject      string // the account that a warrant will name
	other        string // somebody the subject also talks to in private
	conversation client.ConversationID
	beside       client.ConversationID
	from, until  time.Time     // the middle epoch was opened between them
	wanted       []string      // what the subject said in the middle epoch of the conversation
	said         []string      // everything anybody said
	spent        time.Duration // on saying it
	stolen       []*engine.Message
	capsules     map[string][][]byte // by compartment, from the stolen database
}

func (s *story) buildWorld(cmd *cobra.Command, dir string) (err error) {
	s.title("A world is built: five kinds of institutions, each with its own keys")
	began := time.Now()
	options := setup.WorldOptions{Cap: demoCap, WorkFactor: 14}
	if s.world, err = openOrBuild(dir, options); err != nil {
		return err
	}
	if s.processes, err = runWorld(cmd, s.world); err != nil {
		return err
	}
	if s.agency, err = openAgency(filepath.Join(s.world.Dir, "agency")); err != nil {
		return err
	}
	for _, account := range s.log.accounts {
		if err := s.register(cmd, account); err != nil {
			return fmt.Errorf("%s: %w", account, err)
		}
	}
	s.say(`Delivery, a ledger's notary, a directory, three witnesses, a docket, and seven custodians in
three offices run as processes that talk over sockets. %d people have a device.
Their law stands on the ledger since entry 0. In its own words:`, len(s.log.accounts))
	c, _ := s.devices[s.log.accounts[0]].laws.Charter(s.world.Signed.Hash())
	for _, sentence := range c.Explain()[2:6] {
		s.say("  - %s", sentence)
	}
	s.say("Ready after %.1f s.", time.Since(began).Seconds())
	return nil
}

func (s *story) register(cmd *cobra.Command, account string) error {
	dir := personHome(s.world, account)
	quiet := *cmd
	quiet.SetOut(io.Discard)
	id := directory.Identity{Account: account, Device: "phone"}
	if err := register(&quiet, dir, s.world.Deployment, id, "", keepRecovery(&quiet, dir)); err != nil {
		return err
	}
	h, err := openHome(cmd, dir)
	if err != nil {
		return err
	}
	s.devices[account] = h
	return nil
}

// peopleTalk has people say the chat in three epochs: the first third of it, the
// middle, the rest. Beside the middle the subject also talks to one person alone.
func (s *story) peopleTalk(cmd *cobra.Command) (err error) {
	ctx, t := cmd.Context(), &s.talk
	first, middle, last := s.log.thirds()
	t.subject = middle[0].account
	t.other = s.log.accounts[0]
	if t.other == t.subject {
		t.other = s.log.accounts[1]
	}
	s.title("People talk")
	if names := s.log.renamed(); names != "" {
		s.say("In names that an account can have: %s.", names)
	}
	bar := newProgress("messages said:")
	total := len(s.log.lines) + 3
	count := func() { bar.at(len(t.said), total) }
	creator := s.devices[s.log.accounts[0]].device
	if t.conversation, err = creator.Create(ctx, s.log.accounts[1:]...); err != nil {
		return personError(err)
	}
	if err := s.sayAll(ctx, t.conversation, with(first, t.subject), count); err != nil {
		return err
	}
	if t.from, err = s.newEpoch(ctx); err != nil {
		return err
	}
	if err := s.sayAll(ctx, t.conversation, middle, count); err != nil {
		return err
	}
	if t.beside, err = s.devices[t.subject].device.Create(ctx, t.other); err != nil {
		return personError(err)
	}
	if err := s.sayAll(ctx, t.beside, []line{{t.subject, "This one is between the two of us."}}, count); err != nil {
		return err
	}
	if t.until, err = s.newEpoch(ctx); err != nil {
		return err
	}
	if err := s.sayAll(ctx, t.conversation, with(last, t.subject), count); err != nil {
		return err
	}
	bar.end()
	t.wanted = textsOf(middle, t.subject)
	seen, held, err := s.everybodyReads(ctx)
	if err != nil {
		return err
	}
	s.say(`%d people say %d messages in one conversation, which changes its keys twice on the
way: three epochs. Meanwhile %s also writes to %s alone.`, len(s.log.accounts), len(t.said)-1, t.subject, t.other)
	s.say(`Whoever speaks first in an epoch deposits a capsule: the one secret of what it
will say in this conversation and epoch, sealed in shares to the custodians.
Every receiver computes the same capsule and compares it byte for byte.`)
	s.must(seen == (len(t.said)-1)*len(s.log.accounts)+2, "every device shows every message of its conversations: %d shown", seen)
	s.must(held == 0, "no capsule was missing or wrong: %d messages held back", held)
	s.say("%.1f ms a message: what others said read and checked, the message sealed and stored.", t.spent.Seconds()*1000/float64(len(t.said)))
	s.fact("messages", len(t.said))
	s.fact("ms_per_message", t.spent.Seconds()*1000/float64(len(t.said)))
	return nil
}

// thirds splits a chat in three, the middle never empty.
func (c *chatLog) thirds() (first, middle, last []line) {
	a := len(c.lines) / 3
	b := max(a+1, 2*len(c.lines)/3)
	return c.lines[:a], c.lines[a:b], c.lines[b:]
}

// with adds a word of an account that says nothing in a part, so that it has
// something to stay closed.
func with(part []line, account string) []line {
	if len(textsOf(part, account)) == 0 {
		return append(slices.Clone(part), line{account, "I'm here."})
	}
	return part
}

func textsOf(part []line, account string) []string {
	var texts []string
	for _, l := range part {
		if l.account == account {
			texts = append(texts, l.text)
		}
	}
	return texts
}

func (s *story) sayAll(ctx context.Context, id client.ConversationID, part []line, count func()) error {
	began := time.Now()
	defer func() { s.talk.spent += time.Since(began) }()
	for _, l := range part {
		d := s.devices[l.account].device
		if _, err := d.Sync(ctx); err != nil {
			return personError(err)
		}
		if err := d.Send(ctx, id, l.text); err != nil {
			return personError(err)
		}
		s.talk.said = append(s.talk.said, l.text)
		count()
	}
	return nil
}

// newEpoch renews the conversation's keys in a second of its own, and returns
// the beginning of that second.
func (s *story) newEpoch(ctx context.Context) (time.Time, error) {
	at, err := nextSecond(ctx)
	if err != nil {
		return at, err
	}
	return at, personError(s.devices[s.log.accounts[0]].device.Renew(ctx, s.talk.conversation))
}

// everybodyReads counts the messages that all devices show, and those they hold.
func (s *story) everybodyReads(ctx context.Context) (seen, held int, err error) {
	for _, account := range s.log.accounts {
		d := s.devices[account].device
		if _, err := d.Sync(ctx); err != nil {
			return 0, 0, personError(err)
		}
		for _, id := range d.Conversations() {
			events, err := d.History(id)
			if err != nil {
				return 0, 0, err
			}
			for _, e := range events {
				switch e.Kind {
				case client.Message, client.Released:
					seen++
				case client.Held:
					held++
				}
			}
		}
	}
	return seen, held, nil
}

// stealDatabase copies delivery's whole store, as a thief with the disk would.
func (s *story) stealDatabase(cmd *cobra.Command) error {
	s.title("Delivery's database is stolen")
	loot := filepath.Join(s.world.Dir, "stolen")
	raw, err := copyFiles(filepath.Join(s.world.Dir, "delivery"), loot, "delivery.db*")
	if err != nil {
		return err
	}
	found := 0
	for _, text := range s.talk.said {
		if len(text) >= 8 && bytes.Contains(raw, []byte(text)) {
			found++
		}
	}
	if err := s.readLoot(cmd.Context(), loot); err != nil {
		return err
	}
	s.say("%d bytes, with %d ciphertexts and %d sealed capsules in them.", len(raw), len(s.talk.stolen), s.talk.count())
	s.must(found == 0, "none of the %d messages is in it, in any part", len(s.talk.said))
	s.must(bytes.Contains(raw, []byte(s.talk.subject)), "the search works: who talks to whom is there, for delivery does know that")
	return nil
}

// copyFiles copies the files of a directory that match, and returns their bytes.
func copyFiles(from, to, pattern string) (all []byte, err error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return nil, err
	}
	names, err := fs.Glob(os.DirFS(from), pattern)
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, fmt.Errorf("no %s in %s", pattern, from))
	}
	for _, name := range names {
		if strings.HasSuffix(name, "-shm") {
			continue // shared memory of the running process, made anew from the log
		}
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readLoot reads what a thief can: the ciphertexts and capsules.
func (s *story) readLoot(ctx context.Context, dir string) error {
	store, err := engine.OpenDelivery(engine.Config{Path: filepath.Join(dir, "delivery.db")}, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	s.talk.stolen, s.talk.capsules = nil, map[string][][]byte{}
	for _, id := range []client.ConversationID{s.talk.conversation, s.talk.beside} {
		if err := s.readConversation(ctx, store, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) readConversation(ctx context.Context, store *engine.Delivery, id client.ConversationID) error {
	epochs, err := store.Epochs(ctx, id[:], 0, 1<<20)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		members, err := store.Members(ctx, id[:], e.Epoch)
		if err != nil {
			return err
		}
		for _, m := range members {
			c := engine.Compartment{Conversation: id[:], Epoch: e.Epoch, Leaf: m.Leaf}
			list, err := store.ReadCompartment(ctx, engine.Range{Conversation: id[:], MaxCount: 1 << 20, MaxBytes: 1 << 30}, e.Epoch, m.Leaf)
			if err != nil {
				return err
			}
			s.talk.stolen = append(s.talk.stolen, list...)
			if s.talk.capsules[c.String()], err = store.Capsules(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// count is the number of stolen capsules.
func (t *talk) count() int {
	n := 0
	for _, list := range t.capsules {
		n += len(list)
	}
	return n
}
