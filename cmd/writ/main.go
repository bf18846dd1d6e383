// Writ is the one binary of the project: every role is a subcommand.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (the law or a
// custodian said no), 4 invalid (evidence or a log does not hold), 5
// unavailable (a service does not answer; trying again may help), 6 findings (an
// audit found something), 7 not proven (evidence holds, but not whose key signed).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not listen to the first
	root := newRoot()
	root.SetIn(&interruptible{ctx, os.Stdin})
	os.Exit(run(ctx, root, os.Args[1:]))
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	return report(root.ErrOrStderr(), cmd, err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Conversations end-to-end encrypted with accountable exceptional access",
		Long: `Writ is a messenger whose conversations are end-to-end encrypted (MLS, RFC 9420,
post-quantum by default) with accountable exceptional access: only a warrant
that several offices approve, that stands on a witnessed public log, and that a
threshold of independent custodians each check for themselves opens the
compartments it names. A compartment is one sender, one conversation, one epoch.

  writ demo        watch the whole of it on this machine
  writ localnet    the whole world on one machine, to use by hand

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (the law or a custodian
said no), 4 invalid (evidence or a log does not hold), 5 unavailable (a service
does not answer; trying again may help), 6 findings (an audit found something),
7 not proven (evidence holds, but not whose key signed).`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().Bool("json", false, "print results as JSON")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err, cmd.CommandPath()+" --help")
	})
	root.AddGroup(
		&cobra.Group{ID: "people", Title: "For people who talk:"},
		&cobra.Group{ID: "law", Title: "For the law and those who check it:"},
		&cobra.Group{ID: "services", Title: "For institutions that run a service:"},
		&cobra.Group{ID: "try", Title: "To try it:"},
	)
	root.AddCommand(
		newRegister(), newConversations(), newLawRoot(), newSend(), newRead(), newChat(), newNotices(),
		newDevices(), newSafety(), newAlarms(),
		newCharter(), newWarrant(), newOpen(), newHold(), newBundle(), newVerify(), newAudit(), newDrill(),
		newServe(), newNotary(), newDirectory(), newWitness(), newBeacon(), newDocket(), newCustodian(), newKeygen(),
		newLocalnet(), newDemo(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if cmd, _, err := root.Find([]string{"help"}); err == nil {
		cmd.Run, cmd.RunE = nil, help
	}
	root.SuggestionsMinimumDistance = 2
	demandSubcommands(root)
	return root
}

// demandSubcommands makes a command that only holds others fail on a word that
// names none of them: cobra would print help and end with 0.
func demandSubcommands(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		demandSubcommands(sub)
	}
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknown(cmd, args[0])
	}
}

// help shows a command's help, or fails where there is no such command.
func help(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return unknown(found, rest[0])
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}

func unknown(cmd *cobra.Command, word string) error {
	hint := cmd.CommandPath() + " --help lists the commands"
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, ", ") + "? " + hint
	}
	return usage(fmt.Errorf("unknown command %q for %q", word, cmd.CommandPath()), hint)
}

// version is the version of the module that the binary was built of, with its
// commit where the build knew it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(12, len(s.Value))]) {
			v += " " + s.Value
		}
	}
	return v
}
