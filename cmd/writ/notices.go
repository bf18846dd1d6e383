package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"writ/client"
	"writ/follower"
	"writ/ledger"
	"writ/notice"
	"writ/warrant"
)

// directTime bounds how long operators are asked for rounds that the ledger
// lacks.
const directTime = 10 * time.Second

// noticesEvery is how often a running client looks for notices.
const noticesEvery = 10 * time.Second

func newNotices() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "notices",
		GroupID: "people",
		Short:   "See which warrants asked for what was said in your conversations",
		Long: `Notices shows a card for each warrant under which messages in your conversations
were asked for. You are told at a time that was fixed before anything was opened:
this device finds it by itself, on the public ledger and from the operators of the
beacon, and nobody learns that it did. A card says what custodians answered. Cards
stay; writ notices ack N puts one away. You are told again if an office states that
it was an error, or an urgent warrant is reviewed, or not in time.`,
		Args: cobra.NoArgs,
	}
	dir := homeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHome(cmd, *dir, func(h *home) error {
			if _, err := h.checkNotices(cmd.Context()); err != nil {
				return err
			}
			cards, err := h.device.Cards()
			if err != nil {
				return err
			}
			return show(cmd, shownCards(cards), func(w io.Writer) { printCards(w, cards) })
		})
	}
	cmd.AddCommand(newNoticesShow(dir), newNoticesAck(dir))
	return cmd
}

func newNoticesShow(dir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show N",
		Short: "Show one notice whole, with the warrant if you were given it",
		Long: `Show prints the card of request N of the ledger. The public ledger has neither the
warrant's number nor its grounds; if somebody gave you the warrant and the salt of
its commitment, --warrant FILE checks that it is the one on the ledger and adds it
to the card. FILE is JSON: {"warrant": BASE64, "salt": BASE64}.`,
		Args: cobra.ExactArgs(1),
	}
	file := cmd.Flags().String("warrant", "", "the warrant that you were given, with its salt")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withCard(cmd, *dir, args[0], func(h *home, n uint64) error {
			if *file == "" {
				return nil
			}
			w, salt, err := readGivenWarrant(*file)
			if err != nil {
				return err
			}
			if err := h.device.ShowWarrant(n, w, salt); err != nil {
				return fail(codeInvalid, err, "this is not the warrant of your notice; ask those who approved it")
			}
			return nil
		})
	}
	return cmd
}

func newNoticesAck(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "ack N",
		Short: "Note that you have seen a notice; writ read shows it no more, writ notices still does",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withCard(cmd, *dir, args[0], func(h *home, n uint64) error { return h.device.AcknowledgeNotice(n) })
		},
	}
}

// withCard changes the card of a request and shows it.
func withCard(cmd *cobra.Command, dir, arg string, change func(*home, uint64) error) error {
	n, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return usage(fmt.Errorf("%q is no number of a request", arg), "writ notices lists them")
	}
	return withHome(cmd, dir, func(h *home) error {
		if _, err := h.checkNotices(cmd.Context()); err != nil {
			return err
		}
		if err := change(h, n); errors.Is(err, client.ErrNoCard) {
			return usage(err, "writ notices lists them")
		} else if err != nil {
			return err
		}
		cards, err := h.device.Cards()
		if err != nil {
			return err
		}
		cards = slices.DeleteFunc(cards, func(c client.Card) bool { return c.RequestEntry != n })
		if len(cards) == 0 {
			return usage(fmt.Errorf("request %d: %w", n, client.ErrNoCard), "writ notices lists them")
		}
		return show(cmd, shownCards(cards)[0], func(w io.Writer) { printCards(w, cards) })
	})
}

// checkNotices looks for the person's openings: on the copy of the ledger, and
// for a round that should stand there and doesn't, at the operators of the beacon.
// So a notary that withholds a round keeps nobody uninformed.
func (h *home) checkNotices(ctx context.Context) ([]client.Card, error) {
	var told, waiting []ledger.Notice
	now := time.Now()
	h.laws.copy.View(func(b *ledger.Book) { told, waiting = b.Notices(0, now), b.Waiting(now) })
	if len(waiting) > 0 {
		ctx, cancel := context.WithTimeout(ctx, directTime)
		defer cancel()
		operators := slices.Sorted(maps.Values(h.deployment.Beacon))
		told = append(told, follower.Rounds(ctx, nil, operators, waiting)...)
	}
	return h.device.CheckNotices(told)
}

// showNotices prints the cards that the person has not acknowledged, beside what
// else a command prints.
func (h *home) showNotices(cmd *cobra.Command) error {
	if _, err := h.checkNotices(cmd.Context()); err != nil {
		return err
	}
	cards, err := h.device.Cards()
	if err != nil {
		return err
	}
	cards = slices.DeleteFunc(cards, func(c client.Card) bool { return c.Acknowledged })
	if len(cards) > 0 {
		printCards(cmd.ErrOrStderr(), cards)
	}
	return nil
}

// watchNotices shows what comes while a person talks: at once what was not
// acknowledged, then each new card, until ctx ends.
func (h *home) watchNotices(ctx context.Context, cmd *cobra.Command) {
	if err := h.showNotices(cmd); err != nil && ctx.Err() == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "(notices: %s; trying again)\n", plain(err))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(noticesEvery):
		}
		cards, err := h.checkNotices(ctx)
		if err == nil && len(cards) > 0 {
			printCards(cmd.ErrOrStderr(), cards)
		}
	}
}

func printCards(w io.Writer, cards []client.Card) {
	if len(cards) == 0 {
		fmt.Fprintln(w, "no notices")
	}
	for _, c := range cards {
		state := fmt.Sprintf("writ notices ack %d when you have seen it", c.RequestEntry)
		if c.Acknowledged {
			state = "seen"
		}
		fmt.Fprintf(w, "== NOTICE %d (%s)\n", c.RequestEntry, state)
		for _, line := range c.Lines() {
			fmt.Fprintf(w, "   %s\n", line)
		}
	}
}

// shownCard is how a card is printed as JSON.
type shownCard struct {
	Request      uint64             `json:"request_entry"`
	RequestHash  string             `json:"request_hash"`
	Warrant      uint64             `json:"warrant_entry"`
	Commitment   string             `json:"commitment"`
	Law          string             `json:"law"`
	LawHash      string             `json:"law_hash"`
	CaseType     string             `json:"case_type"`
	Approved     []string           `json:"approved_by"`
	Due          time.Time          `json:"due"`
	Round        uint64             `json:"round"`
	Urgent       bool               `json:"urgent"`
	Test         bool               `json:"test"`
	Preserved    bool               `json:"preserved_only"`
	Compartments []shownCompartment `json:"compartments"`
	Outcome      string             `json:"outcome"` // opened, released, or not opened
	Sealed       bool               `json:"sealed"`
	Answers      []shownAnswer      `json:"answers,omitempty"`
	Errors       []shownError       `json:"errors,omitempty"`
	Review       string             `json:"review,omitempty"` // of an urgent warrant: confirmed, refused or overdue
	Reference    string             `json:"warrant_reference,omitempty"`
	Acknowledged bool               `json:"acknowledged"`
	Lines        []string           `json:"lines"`
}

type shownCompartment struct {
	Account      string    `json:"account"`
	Device       string    `json:"device"`
	Conversation string    `json:"conversation"`
	Epoch        uint64    `json:"epoch"`
	Opened       time.Time `json:"epoch_opened"`
}

type shownAnswer struct {
	Entry     uint64 `json:"entry"`
	Custodian string `json:"custodian"` // OFFICE/CUSTODIAN
	Kind      string `json:"kind"`
	Reason    string `json:"reason,omitempty"`
}

type shownError struct {
	Entry   uint64    `json:"entry"`
	Request uint64    `json:"request_entry"`
	Office  string    `json:"office"`
	Kind    string    `json:"kind"`
	Seen    time.Time `json:"seen"`
}

func shownCards(cards []client.Card) []shownCard {
	list := []shownCard{}
	for _, c := range cards {
		s := shownCard{c.RequestEntry, fmt.Sprintf("%x", c.RequestHash), c.WarrantEntry, fmt.Sprintf("%x", c.Commitment), c.Law, c.LawHash.String(),
			c.CaseType, c.Approved, c.Due, c.Round, c.Urgent, c.Test, c.Preserved, nil, c.Outcome.String(), c.Sealed(), nil, nil, reviewOf(&c), "", c.Acknowledged, c.Lines()}
		for _, a := range c.Answers {
			x := shownAnswer{Entry: a.Index, Custodian: a.Office + "/" + a.Custodian, Kind: a.Kind.String()}
			if a.Kind == ledger.TypeRefusal {
				x.Reason = notice.Reason(a.Reason)
			}
			s.Answers = append(s.Answers, x)
		}
		for _, e := range c.Errors {
			s.Errors = append(s.Errors, shownError{e.Index, e.Request, e.Office, e.Kind.String(), e.Seen.UTC()})
		}
		for _, l := range c.Opened {
			s.Compartments = append(s.Compartments, shownCompartment{l.Account, l.Device, fmt.Sprintf("%x", l.Conversation), l.Epoch, l.OpenedAt()})
		}
		if c.Order != nil {
			s.Reference = c.Order.Reference
		}
		list = append(list, s)
	}
	return list
}

func reviewOf(c *client.Card) string {
	switch {
	case c.Unreviewed:
		return "overdue"
	case c.Review == nil:
		return ""
	case c.Review.Outcome == ledger.ReviewConfirmed:
		return "confirmed"
	}
	return "refused"
}

func readGivenWarrant(path string) (*warrant.Warrant, [32]byte, error) {
	const hint = "FILE is JSON with the members warrant and salt, in base64, as those who hold the warrant give them"
	var given struct{ Warrant, Salt []byte }
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &given)
	}
	if err == nil && len(given.Salt) != 32 {
		err = errors.New("malformed: no salt of 32 bytes")
	}
	if err != nil {
		return nil, [32]byte{}, fail(codeFailed, fmt.Errorf("%s: %w", path, err), hint)
	}
	w, err := warrant.Parse(given.Warrant)
	if err != nil {
		return nil, [32]byte{}, fail(codeInvalid, fmt.Errorf("%s: %w", path, err), hint)
	}
	return w, [32]byte(given.Salt), nil
}
