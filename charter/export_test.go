package charter

// SmallOrder is the list of refused keys.
var SmallOrder = smallOrder[:]
