--- An event: set until somebody clears it.
-- @module shmseg.event

return (require "shmseg.object".module("event"))
