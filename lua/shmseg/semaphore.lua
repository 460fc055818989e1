--- A semaphore whose permits come back when their holder dies; or a counting signal.
-- @module shmseg.semaphore

return (require "shmseg.object".module("semaphore"))
