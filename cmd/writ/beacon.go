package main

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/internal/keyfile"
	"writ/notice/beacon"
	"writ/operator"
	"writ/setup"
)

func newBeacon() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "beacon",
		GroupID: "services",
		Short:   "Make the key of the beacon among its operators, without a dealer; hand it on",
		Long: `Beacon holds the ceremony in which the operators of the beacon, who are witnesses,
make a key that none of them has. Each works on its own machine; what all see is
the board, a directory that is shared or passed on from one to the next:

  each operator   writ beacon keygen NAME            gives NAME.public.json to who convenes
  who convenes    writ beacon plan --board B *.public.json
  each operator   writ beacon deal --board B         then who convenes: writ beacon close --board B
  each operator   writ beacon respond --board B      then close
  each operator   writ beacon answer --board B       only if status says so; then close
  each operator   writ beacon finish --board B       prints group and transcript: compare them

A charter names what finish prints (writ charter new --beacon GROUPFILE). To hand
the key on to others, plan with --previous GROUPFILE; the operators before deal.`,
	}
	cmd.AddCommand(newBeaconKeygen(), newBeaconPlan(), newBeaconStatus(), newBeaconClose(), newBeaconFinish(), newBeaconDrop(),
		newBeaconStep("deal", "Hand out shares of a secret of your own, sealed to each operator", (*operator.Keys).Deal),
		newBeaconStep("respond", "Say which deals you saw, and complain of those that are wrong", (*operator.Keys).Respond),
		newBeaconStep("answer", "Answer complaints about your deal by publishing those shares", (*operator.Keys).Answer))
	return cmd
}

// roleBeacon is the role of an operator's public part.
const roleBeacon setup.Role = "beacon"

func newBeaconKeygen() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen NAME --dir DIR",
		Short: "Make the keys of an operator: DIR/beacon.age under a passphrase, DIR/NAME.public.json for who convenes",
		Args:  cobra.ExactArgs(1),
	}
	dir := cmd.Flags().String("dir", ".", "the witness's directory")
	pass := passphraseFlag(cmd)
	work := cmd.Flags().Int("work-factor", 0, "of scrypt; 0: takes about a second")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		phrase, err := passphrase(cmd, *pass, true)
		if err != nil {
			return err
		}
		defer clear(phrase)
		if err := os.MkdirAll(*dir, 0o700); err != nil {
			return err
		}
		if err := keyfile.CheckWork(*work); err != nil {
			return usage(err, "without --work-factor it takes about a second")
		}
		m, err := operator.CreateKeys(*dir, phrase, *work, args[0])
		if err != nil {
			return fail(codeFailed, err, "keys are never overwritten: --dir names a directory without beacon.age")
		}
		part := &setup.Part{Role: roleBeacon, Name: m.Name, Key: m.Key[:], Mail: m.Mail}
		if err := part.Save(filepath.Join(*dir, m.Name+".public.json")); err != nil {
			return err
		}
		p := &published{File: filepath.Join(*dir, operator.KeyFile), Part: part}
		return show(cmd, p, func(w io.Writer) { printPublished(w, p) })
	}
	return cmd
}

func newBeaconPlan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan --board BOARD PUBLIC.json ...",
		Short: "Convene a ceremony: who shall share the key, how many sign, when rounds come",
		Args:  cobra.MinimumNArgs(2),
	}
	board := boardFlag(cmd)
	threshold := cmd.Flags().Uint8("threshold", 0, "how many operators sign a round (default the smallest majority)")
	period := cmd.Flags().Duration("period", time.Hour, "from one round to the next")
	previous := cmd.Flags().String("previous", "", "group whose key is handed on: the file that finish wrote")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := &beacon.Ceremony{Genesis: uint64(time.Now().Unix()), Period: uint64(*period / time.Second), Threshold: *threshold}
		rand.Read(c.Nonce[:])
		var before *beacon.Group
		if *previous != "" {
			var err error
			if before, err = readGroup(*previous); err != nil {
				return err
			}
			c.Previous, c.Genesis, c.Period = before.Hash(), before.Ceremony().Genesis, before.Ceremony().Period
		}
		parts, err := setup.LoadPartFiles(args)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if p.Role != roleBeacon || len(p.Key) != len(beacon.OperatorKey{}) {
				return usage(fmt.Errorf("%s is a part of role %q", p.Name, p.Role), "writ beacon keygen makes the parts of operators")
			}
			c.Members = append(c.Members, beacon.Member{Name: p.Name, Key: beacon.OperatorKey(p.Key), Mail: p.Mail})
		}
		slices.SortFunc(c.Members, func(a, b beacon.Member) int { return cmp.Compare(a.Name, b.Name) })
		if c.Threshold == 0 {
			c.Threshold = uint8(len(c.Members)/2 + 1)
		}
		if _, err := operator.CreateBoard(*board, c, before); err != nil {
			return fail(codeFailed, err, "a ceremony has a board of its own, 2 to 32 operators, and a threshold of more than half")
		}
		return showBoard(cmd, *board)
	}
	return cmd
}

func readGroup(path string) (*beacon.Group, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(codeFailed, err, "writ beacon finish writes the group's file")
	}
	g, err := beacon.ParseGroup(b)
	if err != nil {
		return nil, fail(codeInvalid, fmt.Errorf("%s: %w", path, err), "writ beacon finish writes the group's file")
	}
	return g, nil
}

func boardFlag(cmd *cobra.Command) *string {
	board := cmd.Flags().String("board", "", "the ceremony's directory")
	cmd.MarkFlagRequired("board")
	return board
}

// newBeaconStep is a step of one operator.
func newBeaconStep(name, short string, step func(*operator.Keys, *operator.Board) error) *cobra.Command {
	cmd := &cobra.Command{Use: name + " --board BOARD --dir DIR", Short: short, Args: cobra.NoArgs}
	board := boardFlag(cmd)
	open := operatorFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		k, err := open(cmd)
		if err != nil {
			return err
		}
		defer k.Erase()
		b, err := operator.OpenBoard(*board)
		if err != nil {
			return err
		}
		if err := step(k, b); err != nil {
			return fail(codeRefused, err, "writ beacon status --board "+*board+" says what is due")
		}
		return showBoard(cmd, *board)
	}
	return cmd
}

func operatorFlags(cmd *cobra.Command) func(*cobra.Command) (*operator.Keys, error) {
	dir := cmd.Flags().String("dir", ".", "the witness's directory, with beacon.age")
	work := cmd.Flags().Int("work-factor", 0, "of scrypt; 0: takes about a second")
	pass := passphraseFlag(cmd)
	return func(cmd *cobra.Command) (*operator.Keys, error) { return openOperatorKeys(cmd, *dir, *pass, *work) }
}

func newBeaconStatus() *cobra.Command {
	cmd := &cobra.Command{Use: "status --board BOARD", Short: "Say where a ceremony stands and what is due", Args: cobra.NoArgs}
	board := boardFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return showBoard(cmd, *board) }
	return cmd
}

func newBeaconClose() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "close --board BOARD",
		Short: "End the phase, when all have acted or had time to; who did not is left out",
		Args:  cobra.NoArgs,
	}
	board := boardFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b, err := operator.OpenBoard(*board)
		if err != nil {
			return err
		}
		if err := b.Close(); err != nil {
			return fail(codeRefused, err, "")
		}
		return showBoard(cmd, *board)
	}
	return cmd
}

func newBeaconFinish() *cobra.Command {
	cmd := &cobra.Command{Use: "finish --board BOARD --dir DIR", Short: "Take your share of the key that was made", Args: cobra.NoArgs}
	board := boardFlag(cmd)
	open := operatorFlags(cmd)
	out := cmd.Flags().String("out", "beacon.group", "file for the group, which is public")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		k, err := open(cmd)
		if err != nil {
			return err
		}
		defer k.Erase()
		b, err := operator.OpenBoard(*board)
		if err != nil {
			return err
		}
		g, err := k.Finish(b)
		if err != nil {
			return fail(codeRefused, err, "writ beacon status --board "+*board+" says what is due")
		}
		if err := setup.Write(*out, g.Encode(), 0o644); err != nil {
			return err
		}
		return showBoard(cmd, *board)
	}
	return cmd
}

func newBeaconDrop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drop GROUP --dir DIR",
		Short: "Erase your share of a group whose key was handed on, when the new operators sign",
		Args:  cobra.ExactArgs(1),
	}
	open := operatorFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		hash, err := hex.DecodeString(args[0])
		if err != nil || len(hash) != 32 {
			return usage(fmt.Errorf("%q is no group's hash", args[0]), "writ beacon finish printed it")
		}
		k, err := open(cmd)
		if err != nil {
			return err
		}
		defer k.Erase()
		if err := k.Drop([32]byte(hash)); err != nil {
			return fail(codeRefused, err, "writ beacon finish printed the group's hash; the share is erased once")
		}
		return show(cmd, map[string]string{"dropped": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "the share of group %s is erased\n", args[0]) })
	}
	return cmd
}

// boardState is how a ceremony is printed.
type boardState struct {
	Phase      string   `json:"phase"`
	Due        string   `json:"due"`
	Operators  []string `json:"operators"`
	Threshold  uint8    `json:"threshold"`
	Faults     []string `json:"faults"`
	Refused    []string `json:"refused"`
	Transcript string   `json:"transcript"`
	Group      string   `json:"group,omitempty"`
	Key        string   `json:"key,omitempty"`
	Chain      string   `json:"chain,omitempty"`
}

var phases = map[beacon.Phase][2]string{
	beacon.Dealing:    {"dealing", "each dealer: writ beacon deal; then close"},
	beacon.Responding: {"responding", "each operator: writ beacon respond; then close"},
	beacon.Answering:  {"answering", "each dealer complained of: writ beacon answer; then close"},
	beacon.Done:       {"done", "each operator: writ beacon finish; compare group and transcript with the others, by a way of your own"},
	beacon.Failed:     {"failed", "a new ceremony, without those at fault"},
}

func showBoard(cmd *cobra.Command, dir string) error {
	b, err := operator.OpenBoard(dir)
	if err != nil {
		return fail(codeFailed, err, "--board names the directory that writ beacon plan made")
	}
	s := boardState{Phase: phases[b.Phase()][0], Due: phases[b.Phase()][1], Threshold: b.Ceremony().Threshold,
		Faults: []string{}, Refused: append([]string{}, b.Refused()...), Transcript: fmt.Sprintf("%x", b.Transcript())}
	for _, m := range b.Ceremony().Members {
		s.Operators = append(s.Operators, m.Name)
	}
	for _, f := range b.Faults() {
		s.Faults = append(s.Faults, f.Name+": "+f.Reason)
	}
	if g, err := b.Group(); err == nil {
		s.Group, s.Key, s.Chain = fmt.Sprintf("%x", g.Hash()), fmt.Sprintf("%x", g.Beacon().Key.Bytes()), fmt.Sprintf("%x", g.Beacon().Chain())
	}
	return show(cmd, s, s.print)
}

func (s boardState) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %d of %s\ndue:        %s\n", s.Phase, s.Threshold, strings.Join(s.Operators, ", "), s.Due)
	for _, f := range append(s.Faults, s.Refused...) {
		fmt.Fprintf(w, "FAULT       %s\n", f)
	}
	fmt.Fprintf(w, "transcript: %s\n", s.Transcript)
	if s.Group != "" {
		fmt.Fprintf(w, "group:      %s\nkey:        %s\nchain:      %s\n", s.Group, s.Key, s.Chain)
	}
}
