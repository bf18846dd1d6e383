package notice

import "fmt"

// reasons are the codes of refusals (spec/release.md) for who reads of them.
var reasons = map[uint8]string{
	1:  "the warrant, its approvals or an entry could not be read whole",
	2:  "the warrant was not under the law in force",
	3:  "the custodian knows other witnesses than the law",
	4:  "the warrant was of another jurisdiction",
	5:  "the law does not allow the type of case",
	6:  "the law has no urgent procedure",
	7:  "the warrant was to live longer than the law allows",
	8:  "it covered a longer time than the law allows",
	9:  "you would have been told later than the law allows",
	10: "the approvals did not satisfy the law",
	11: "an entry was not proven to be on the witnessed ledger",
	12: "the ledger's witnesses had not signed in time",
	13: "the custodian's own copy of the ledger did not have the entries",
	14: "the request was for another warrant",
	15: "the entry did not say what the warrant says",
	16: "the warrant had not begun or had ended",
	17: "the law's own review date had passed",
	18: "the law's cap of warrants was reached",
	19: "the notices were not those of what was asked for",
	20: "what was asked for could not be read, or does not fit the law",
	21: "what was asked for was sealed under a law or a key that the warrant does not reach",
	22: "something asked for lies outside the time that the warrant covers",
	23: "something asked for is not of the person that the warrant names",
	24: "something asked for is of a conversation that the warrant does not list",
	25: "it was called a test and reached a real person",
	26: "the time for which anything can be opened had passed",
	27: "the custodian does not have the key",
	28: "the custodian's part did not open",
	29: "the custodian objected",
	30: "an office that approved the warrant had cancelled it",
	31: "the warrant was urgent, and was refused or not confirmed in time",
	32: "an office had stated an error",
	33: "the conversation is privileged, and the office that must agree to that had not",
	34: "you would not have been told at the time that the warrant sets",
	35: "the law lets nothing be kept, or no longer",
	36: "the warrant renews one of another person",
}

// Reason says in words why a custodian refused, by the code on the ledger.
func Reason(code uint8) string {
	if s, ok := reasons[code]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", code)
}
