package mapping

import "time"

// abbreviations are the names of zones that mean one offset from UTC, in seconds,
// wherever the time zone database used them since 2006; TestAbbreviations makes the
// list anew. Others, such as CST, are of several places.
func abbreviations() map[string]int {
	return map[string]int{
		"ACDT": 37800, "ACST": 34200, "ADT": -10800, "AEDT": 39600, "AEST": 36000, "AKDT": -28800,
		"AKST": -32400, "AST": -14400, "AWDT": 32400, "AWST": 28800, "BST": 3600, "CAT": 7200,
		"CEST": 7200, "CET": 3600, "EAT": 10800, "EDT": -14400, "EEST": 10800, "EET": 7200,
		"EST": -18000, "GMT": 0, "HDT": -32400, "HKT": 28800, "HST": -36000, "IDT": 10800,
		"JST": 32400, "MDT": -21600, "MSD": 14400, "MST": -25200, "NDT": -9000, "NST": -12600,
		"NZDT": 46800, "NZST": 43200, "PDT": -25200, "PKST": 21600, "PKT": 18000, "SAST": 7200,
		"SST": -39600, "UTC": 0, "WAT": 3600, "WEST": 3600, "WET": 0, "WIB": 25200,
		"WIT": 32400, "WITA": 28800,
	}
}

// zoned gives a time whose zone was read as an abbreviation the offset that it
// means; false when that is not known. The library knows those of the zone at hand,
// and takes every other for UTC.
func zoned(at time.Time, zone *time.Location) (time.Time, bool) {
	name, offset := at.Zone()
	if at.Location() == time.UTC || at.Location() == zone || offset != 0 || name == "" || name == "UTC" || name == "GMT" || name[0] == '+' || name[0] == '-' {
		return at, true
	}
	means, ok := abbreviations()[name]
	return at.Add(-time.Duration(means) * time.Second), ok
}
